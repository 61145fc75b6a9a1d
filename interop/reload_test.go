package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

const (
	reloads = 50
	stayers = 850 // and two that go with each reload, and those of an authority
	orphans = 50
)

// A town is the files of a broker, and its clients, half of them over TLS.
type town struct {
	t          *testing.T
	dir        string
	ca, other  *x509.Certificate
	key        *ecdsa.PrivateKey
	otherKey   *ecdsa.PrivateKey
	plain, tls string
	revoked    []x509.RevocationListEntry
	users      []string
	hashes     map[string]*auth.Hash
}

func (w *town) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// put writes everything as it is to be in a round.
func (w *town) put(round int) {
	w.t.Helper()
	f := auth.NewPasswordFile(filepath.Join(w.dir, "users"))
	for _, u := range w.users {
		if w.hashes[u] == nil { // another hash is another password
			h, err := auth.HashPassword("sha512", u+"!", 0)
			if err != nil {
				w.t.Fatal(err)
			}
			w.hashes[u] = h
		}
		f.Set(u, w.hashes[u])
	}
	if err := f.Write(); err != nil {
		w.t.Fatal(err)
	}
	w.file("acl", fmt.Sprintf("allow readwrite ok/#\nallow publish round/%d\n", round))
	trusted := pemOf("CERTIFICATE", w.ca.Raw)
	if round < reloads/2 {
		trusted += pemOf("CERTIFICATE", w.other.Raw)
	}
	w.file("ca.pem", trusted)
	lists := w.listOf(w.ca, w.key, round, w.revoked)
	w.file("crl.pem", lists+w.listOf(w.other, w.otherKey, round, nil))
	issue(w.t, w.dir, w.ca, w.key, "localhost") // a new one each time
}

// listOf is what an authority has revoked.
func (w *town) listOf(ca *x509.Certificate, key *ecdsa.PrivateKey, round int, revoked []x509.RevocationListEntry) string {
	w.t.Helper()
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(int64(round + 1)), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: revoked,
	}, ca, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return pemOf("X509 CRL", crl)
}

// paper makes a client certificate, and returns its options and its number.
func (w *town) paper(name string, ca *x509.Certificate, key *ecdsa.PrivateKey) (*client.TLS, *big.Int) {
	w.t.Helper()
	dir := w.t.TempDir()
	cert, file := issue(w.t, dir, ca, key, name)
	block, _ := os.ReadFile(cert)
	p, _ := pem.Decode(block)
	c, err := x509.ParseCertificate(p.Bytes)
	if err != nil {
		w.t.Fatal(err)
	}
	return &client.TLS{CA: []byte(pemOf("CERTIFICATE", w.ca.Raw)), CertFile: cert, KeyFile: file}, c.SerialNumber
}

func (w *town) join(id, user string, tls *client.TLS) *client.Conn {
	w.t.Helper()
	o := client.Options{ClientID: id, Version: mqtt.V5, CleanStart: true, KeepAlive: 10 * time.Minute}
	url := w.plain
	if tls != nil {
		url, o.TLS = w.tls, tls
	} else {
		o.Username, o.Password = user, []byte(user+"!")
	}
	c, err := client.Dial(w.t.Context(), url, o)
	if err != nil {
		w.t.Fatalf("%s: %v", id, err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// joinAll has n clients come, some at once.
func (w *town) joinAll(n int, join func(i int) *client.Conn) []*client.Conn {
	all := make([]*client.Conn, n)
	var work sync.WaitGroup
	for k := range 8 {
		work.Go(func() {
			for i := k; i < n; i += 8 {
				all[i] = join(i)
			}
		})
	}
	work.Wait()
	return all
}

// With 1,000 clients connected, certificates, authorities, revocation lists,
// users and rules change 50 times: who may stay stays and works, under the new
// rules, and who may not is gone.
func TestReloadUnderLoad(t *testing.T) {
	w := &town{t: t, dir: t.TempDir(), users: []string{"stay"}, hashes: map[string]*auth.Hash{}}
	w.ca, w.key = certificate(t, nil, nil, "first", true)
	w.other, w.otherKey = certificate(t, nil, nil, "second", true)
	for i := range reloads {
		w.users = append(w.users, fmt.Sprintf("v%d", i))
	}
	w.put(0)
	log := filepath.Join(w.dir, "log")
	conf := w.file("midge.toml", `
[[listener]]
url = "tcp://127.0.0.1:0"
allow_anonymous = false
[[listener]]
url = "tls://127.0.0.1:0"
cert = "localhost.pem"
key = "localhost.key"
client_ca = "ca.pem"
client_cert = "require"
user_from_cert = "cn"
crl = ["crl.pem"]
[auth]
password_file = "users"
acl_file = "acl"
[log]
to = "log"
`)
	b := serve(t, "-c", conf)
	_, port, _ := net.SplitHostPort(b.at["tls"])
	w.plain, w.tls = "mqtt://"+b.at["tcp"], "mqtts://localhost:"+port

	stay, _ := w.paper("stay", w.ca, w.key)
	lone, _ := w.paper("lone", w.other, w.otherKey)
	kept := w.joinAll(stayers, func(i int) *client.Conn {
		if i%2 == 0 {
			return w.join(fmt.Sprintf("s%d", i), "stay", nil)
		}
		return w.join(fmt.Sprintf("s%d", i), "", stay)
	})
	orphaned := w.joinAll(orphans, func(i int) *client.Conn { return w.join(fmt.Sprintf("o%d", i), "", lone) })
	serials := make([]*big.Int, reloads)
	var mu sync.Mutex
	doomed := w.joinAll(2*reloads, func(i int) *client.Conn {
		if i%2 == 0 {
			return w.join(fmt.Sprintf("v%d", i/2), fmt.Sprintf("v%d", i/2), nil)
		}
		mu.Lock()
		paper, serial := w.paper(fmt.Sprintf("c%d", i/2), w.ca, w.key)
		mu.Unlock()
		serials[i/2] = serial
		return w.join(fmt.Sprintf("c%d", i/2), "", paper)
	})
	t.Logf("%d clients are there", len(kept)+len(orphaned)+len(doomed))

	var worst, slowest time.Duration
	for round := 1; round <= reloads; round++ {
		w.users = append(w.users[:1:1], w.users[2:]...)
		w.revoked = append(w.revoked, x509.RevocationListEntry{SerialNumber: serials[round-1], RevocationTime: time.Now()})
		w.put(round)
		begun := time.Now()
		b.cmd.Process.Signal(syscall.SIGHUP)
		go1 := doomed[2*round-2 : 2*round]
		if round == reloads/2 {
			go1 = append(append([]*client.Conn(nil), go1...), orphaned...)
		}
		for _, c := range go1 {
			select {
			case <-c.Done():
			case <-time.After(patience):
				text, _ := os.ReadFile(log)
				t.Fatalf("round %d: somebody is still there\n%s", round, text)
			}
		}
		worst = max(worst, time.Since(begun))
		waitReloads(t, log, round)
		for i := range 2 { // one of each listener
			c, took := kept[(2*round+i)%stayers], time.Now()
			if err := publishTo(t.Context(), c, fmt.Sprintf("round/%d", round)); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if err := publishTo(t.Context(), c, fmt.Sprintf("round/%d", round-1)); err == nil {
				t.Errorf("round %d: the rules are those of before", round)
			}
			slowest = max(slowest, time.Since(took))
		}
	}
	for i, c := range kept {
		select {
		case <-c.Done():
			t.Fatalf("client %d had to go: %v", i, c.Err())
		default:
		}
		if err := publishTo(t.Context(), c, "ok/x"); err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
	}
	t.Logf("%d reloads: who may not stay was gone within %v of SIGHUP, two publications took %v at most", reloads, worst, slowest)
}

func publishTo(ctx context.Context, c *client.Conn, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := c.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte("x"), QoS: 1})
	if err == nil && r.Code.Failed() {
		err = fmt.Errorf("%s: %v", topic, r.Code)
	}
	return err
}

// waitReloads waits until the log tells of so many.
func waitReloads(t *testing.T, log string, n int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		text, _ := os.ReadFile(log)
		if strings.Count(string(text), "msg=reloaded") >= n {
			return
		}
	}
	text, _ := os.ReadFile(log)
	t.Fatalf("no reload %d:\n%s", n, text)
}

package interop

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/interop/internal/harness"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/tiny"
	"github.com/midgemq/midge/tiny/host"
	"github.com/midgemq/midge/transport"
)

// freeAddress is an address that a broker can have.
func freeAddress(t testing.TB) string {
	t.Helper()
	addr, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// reachable waits until somebody listens.
func reachable(t testing.TB, addr string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if nc, err := net.Dial("tcp", addr); err == nil {
			nc.Close()
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("nobody listens on %s", addr)
}

// mosquittoBroker runs Debian's, and returns where it listens by scheme.
func mosquittoBroker(t *testing.T, c certs) map[string]string {
	t.Helper()
	program := need(t, "mosquitto", "apt-get install mosquitto")
	plain, secure, web := freeAddress(t), freeAddress(t), freeAddress(t)
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	conf := filepath.Join(t.TempDir(), "conf")
	text := fmt.Sprintf("user root\nallow_anonymous true\nlistener %s 127.0.0.1\nlistener %s 127.0.0.1\nprotocol websockets\n"+
		"listener %s 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\n",
		port(plain), port(web), port(secure), c.ca, c.server, c.serverKey)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, program, "-c", conf)
	for _, addr := range []string{plain, secure, web} {
		reachable(t, addr)
	}
	return map[string]string{"mqtt": "mqtt://" + plain, "mqtts": "mqtts://localhost:" + port(secure), "ws": "ws://" + web + "/mqtt"}
}

func midgeBroker(t *testing.T, c certs) map[string]string {
	t.Helper()
	b := serve(t, "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--unix", filepath.Join(t.TempDir(), "s"),
		"--tls", "127.0.0.1:0", "--cert", c.server, "--key", c.serverKey, "--cafile", c.ca, "--require-cert")
	_, port, _ := net.SplitHostPort(b.at["tls"])
	return map[string]string{
		"mqtt": "mqtt://" + b.at["tcp"], "mqtts": "mqtts://localhost:" + port, "ws": b.at["ws"], "unix": "unix://" + b.at["unix"],
	}
}

func mochiBroker(t testing.TB) map[string]string {
	t.Helper()
	addr, web := freeAddress(t), freeAddress(t)
	s := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	s.AddHook(new(auth.AllowHook), nil)
	s.AddListener(listeners.NewTCP(listeners.Config{ID: "t", Address: addr}))
	s.AddListener(listeners.NewWebsocket(listeners.Config{ID: "w", Address: web}))
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	reachable(t, addr)
	return map[string]string{"mqtt": "mqtt://" + addr, "ws": "ws://" + web + "/"}
}

func tinyBroker(t *testing.T) map[string]string {
	t.Helper()
	b, err := tiny.New(tiny.Limits{}, tiny.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := transport.Listen(t.Context(), "tcp://127.0.0.1:0", transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		host.New(b).Serve(ctx, ln)
	}()
	t.Cleanup(func() { stop(); ln.Close(); <-ended })
	return map[string]string{"mqtt": "mqtt://" + ln.Addr().String()}
}

// The client with every broker: all versions, all qualities of service, all
// the ways there are.
func TestClientWithBrokers(t *testing.T) {
	c := makeCerts(t)
	for name, begin := range map[string]func(*testing.T) map[string]string{
		"midge":     func(t *testing.T) map[string]string { return midgeBroker(t, c) },
		"mosquitto": func(t *testing.T) map[string]string { return mosquittoBroker(t, c) },
		"mochi":     func(t *testing.T) map[string]string { return mochiBroker(t) },
		"tiny":      tinyBroker,
	} {
		t.Run(name, func(t *testing.T) {
			for scheme, url := range begin(t) {
				for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
					t.Run(fmt.Sprintf("%s %v", scheme, v), func(t *testing.T) { roundTrip(t, c, scheme, url, v) })
				}
			}
		})
	}
}

func roundTrip(t *testing.T, c certs, scheme, url string, v mqtt.Version) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := make(chan string, 10)
	o := client.Options{Version: v, Handler: func(_ context.Context, m client.Message) {
		got <- fmt.Sprintf("%s q%d", m.Payload, m.QoS)
	}}
	if scheme == "mqtts" {
		o.TLS = &client.TLS{CAFile: c.ca, CertFile: c.client, KeyFile: c.clientKey}
	}
	cl, err := client.New(client.Config{Servers: []string{url}, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { cl.Close(); <-cl.Done() }()
	if err := cl.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	topic := fmt.Sprintf("c/%s/%d", scheme, v)
	if _, err := cl.Subscribe(ctx, client.Subscription{Filter: topic, QoS: 2}); err != nil {
		t.Fatal(err)
	}
	for q := range mqtt.QoS(3) {
		text := fmt.Sprintf("message %d", q)
		if _, err := cl.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte(text), QoS: q}); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-got:
			if m != fmt.Sprintf("%s q%d", text, q) {
				t.Errorf("got %q", m)
			}
		case <-ctx.Done():
			t.Fatalf("QoS %d does not come back", q)
		}
	}
	cl.Reconnect()
	if _, err := cl.Publish(ctx, mqtt.Message{Topic: topic, Payload: []byte("after"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-ctx.Done():
		t.Fatal("after a new connection nothing comes")
	}
}

// The same calls of our tools and Mosquitto's, against the same broker: the
// same output, the same exit code.
func TestToolsAgreeWithMosquittos(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	b := serve(t, "--tcp", "127.0.0.1:0")
	where := at(b.at["tcp"])
	theirs := map[string]string{}
	for _, tool := range []string{"pub", "sub", "rr"} {
		theirs[tool] = need(t, "mosquitto_"+tool, installMosquitto)
	}
	run(t, theirs["pub"], slices.Concat(where, words("-t k/a -m hello -r"))...)
	run(t, theirs["pub"], slices.Concat(where, words(`-t k/b -m {"x":[1,"é"]} -r -V 5 -D publish content-type text -D publish user-property a b -D publish response-topic r -D publish correlation-data c`))...)
	run(t, theirs["pub"], slices.Concat(where, words("-t k/c -r -m 12345678"))...)
	for _, call := range []string{
		"sub -t k/a -C 1", "sub -t k/a -C 1 -N", "sub -t k/# -C 3 -v", "sub -t k/# -T k/b -C 2 -v", "sub -t k/a -C 1 -v -V 31",
		"sub -t k/a -C 1 -F %t|%p|%q|%r|%l|%m|%x|%X|%%|@@|@Y",
		`sub -t k/a -C 1 -F %10t|%-10t.|%010l|%.2t|%14p|%-8p\t\\`,
		"sub -t k/b -C 1 -V 5 -F %C|%P|%R|%D|%A|%E|%F|%S|", "sub -t k/b -C 1 -F %C|%P|",
		"sub -t k/b -C 1 -V 5 -F %j", "sub -t k/b -C 1 -V 5 -F %J", "sub -t k/c -C 1 -F %J", "sub -t k/a -C 1 -F %J",
		"sub -t k/a -W 1", "sub -t none -W 1", "sub -t none -E", "sub -t k/a -R -W 1", "sub -t k/a -C 1 -R -W 1 -v",
		"sub -t k/a -F %Z", `sub -t k/a -F \q`, "sub -t k/a -F %", "sub", "sub -t k/a -V 7", "sub -t k/a --frob", "sub -t k/a -q",
		"sub -t k/a -D connect frob 1", "sub -t k/a -c",
		"pub -t p -m x", "pub -t p -m x -q 1", "pub -t p -m x -q 2 -V 5", "pub -t p -n", "pub -t p -m x --repeat 3", "pub -t p -m x -q 3",
		"pub -t p -m x -m y", "pub -t p -f nofile", "pub -t p", "pub -m x", "pub -t p -m x -k 1", "pub -t p -m x --cert y", "pub -t p/# -m x",
		"rr -t k/req -e k/resp -m x -W 1", "rr -t k/req -m x",
	} {
		t.Run(call, func(t *testing.T) {
			tool, args, _ := strings.Cut(call, " ")
			all := slices.Concat(where, words(args))
			wantOut, _, wantCode := output(t, theirs[tool], all...)
			out, errs, code := output(t, binary, append([]string{tool}, all...)...)
			if wantCode != 0 && wantCode != exitTimeout {
				wantOut = "" // usage, which Mosquitto's print to standard output now and then
			}
			if untimed(out) != untimed(wantOut) || code != wantCode {
				t.Errorf("exit %d, want %d\n%q\n%q\n%s", code, wantCode, out, wantOut, errs)
			}
		})
	}
}

const exitTimeout = 27

func words(s string) []string { return strings.Fields(s) }

// untimed leaves the time of %j out.
func untimed(s string) string {
	if at := strings.Index(s, `{"tst":"`); at >= 0 {
		_, rest, _ := strings.Cut(s[at+8:], `"`)
		return s[:at] + rest
	}
	return s
}

// Each other's messages, through each other's tools.
func TestToolsTalkToMosquittos(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	c := makeCerts(t)
	where := mosquittoBroker(t, c)
	_, rest, _ := strings.Cut(where["mqtt"], "://")
	plain := at(rest)
	for _, v := range versions {
		run(t, binary, slices.Concat([]string{"pub"}, plain, words("-t t -r -q 2 -m ours -V "+v))...)
		if out := run(t, need(t, "mosquitto_sub", installMosquitto), append(plain, words("-t t -C 1 -q 2 -v -V "+v)...)...); out != "t ours\n" {
			t.Errorf("%s: %q", v, out)
		}
		run(t, need(t, "mosquitto_pub", installMosquitto), append(plain, words("-t t -r -q 2 -m theirs -V "+v)...)...)
		if out := run(t, binary, slices.Concat([]string{"sub"}, plain, words("-t t -C 1 -q 2 -v -V "+v))...); out != "t theirs\n" {
			t.Errorf("%s: %q", v, out)
		}
	}
	_, rest, _ = strings.Cut(where["mqtts"], "://")
	_, port, _ := net.SplitHostPort(rest)
	run(t, binary, "pub", "-h", "localhost", "-p", port, "--cafile", c.ca, "--cert", c.client, "--key", c.clientKey, "-t", "s", "-m", "x", "-q", "1")
	if _, _, code := output(t, binary, "pub", "-h", "localhost", "-p", port, "--cafile", c.ca, "-t", "s", "-m", "x", "-q", "1"); code == 0 {
		t.Error("let in without a certificate")
	}
	_, rest, _ = strings.Cut(where["ws"], "://")
	_, port, _ = net.SplitHostPort(strings.TrimSuffix(rest, "/mqtt"))
	if n, err := strconv.Atoi(port); err != nil || n == 0 {
		t.Fatal(where["ws"])
	}
	run(t, binary, "pub", "-L", "ws://127.0.0.1:"+port+"/s", "-m", "x", "-q", "1")
}

package midge_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// A logBook keeps what the broker logs.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func (l *logBook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// wantClosed reads to the end and wants nothing before it.
func (p *peer) wantClosed() {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(time.Hour))
	rest, err := io.ReadAll(p.nc)
	if err != nil || len(rest) > 0 {
		p.t.Fatalf("want the connection closed without a word, got % x, %v", rest, err)
	}
}

// Whatever comes before CONNECT ends the connection, with the reason logged.
func TestGarbageBeforeConnect(t *testing.T) {
	for name, c := range map[string]struct {
		bytes  string
		reason string
	}{
		"http":            {"GET / HTTP/1.1\r\n\r\n", "first packet is not CONNECT"},
		"zeros":           {"\x00\x00\x00\x00", "packet type 0"},
		"publish":         {"\x30\x03\x00\x01a", "first packet is not CONNECT"},
		"tls hello":       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "packet"},
		"endless varint":  {"\x10\xff\xff\xff\xff\xff", "more than four bytes"},
		"huge CONNECT":    {"\x10\xff\xff\xff\x7f", "larger than the announced maximum"},
		"not MQTT":        {"\x10\x0c\x00\x04MQTX\x04\x02\x00\x00\x00\x00", "protocol name"},
		"padded varint":   {"\x10\x80\x00", "shortest form"},
		"reserved flags":  {"\x11\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", "reserved flags"},
		"truncated field": {"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x09", "ends inside a field"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBook
				w := newWorld(t, midge.Config{Logger: log.logger()})
				p := w.dial()
				p.write([]byte(c.bytes))
				p.wantClosed()
				synctest.Wait()
				if !log.has(c.reason) {
					t.Errorf("the log does not say %q:\n%s", c.reason, log.b.String())
				}
			})
		})
	}
}

// A CONNECT that comes a byte at a time is held to ConnectTimeout as a whole.
func TestSlowConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		w := newWorld(t, midge.Config{Logger: log.logger(), ConnectTimeout: 5 * time.Second})
		p := w.dial()
		start := time.Now()
		c := packet.Connect{Version: mqtt.V5, ClientID: []byte("slow"), CleanStart: true}
		go func() {
			for _, b := range c.Append(nil) {
				<-time.After(time.Second)
				if _, err := p.nc.Write([]byte{b}); err != nil {
					return
				}
			}
		}()
		p.wantClosed()
		if took := time.Since(start); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("closed after %v, want about ConnectTimeout", took)
		}
		if !log.has("no CONNECT in time") {
			t.Error("the log does not say why")
		}
		<-time.After(time.Minute) // the writer above finds the connection closed
	})
}

// A whole session in writes of one byte is a session like any other.
func TestOneByteWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		p := w.dial()
		drip := func(b []byte) {
			for i := range b {
				p.write(b[i : i+1])
				synctest.Wait()
			}
		}
		c := packet.Connect{Version: mqtt.V5, ClientID: []byte("drip"), CleanStart: true}
		drip(c.Append(nil))
		p.want(packet.CONNACK)
		s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("#"), QoS: 2})}
		drip(s.Append(nil, p.v))
		p.want(packet.SUBACK)
		m := packet.Publish{Topic: []byte("t"), Payload: bytes.Repeat([]byte("x"), 300), QoS: 1, ID: 2}
		drip(m.Append(nil, p.v))
		got := map[packet.Type]int{}
		for range 2 {
			h, _, err := p.next()
			if err != nil {
				t.Fatal(err)
			}
			got[h.Type]++
		}
		if got[packet.PUBACK] != 1 || got[packet.PUBLISH] != 1 {
			t.Errorf("got %v", got)
		}
	})
}

// A packet larger than announced is refused by its header, in either form.
func TestHugeRemainingLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{MaxPacketSize: 1000})
		p := w.connect("huge")
		p.write([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F})
		p.wantEnd(mqtt.PacketTooLarge)

		old := w.connect("huge-old", func(c *packet.Connect) { c.Version = mqtt.V311 })
		old.write([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F})
		old.wantClosed()
	})
}

// A topic of nothing but slashes costs a node a level where it is kept, and any
// costs its length: topics and filters have a bound of both.
func TestTooLargeTopics(t *testing.T) {
	long := strings.Repeat("x", 30)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{MaxTopicLevels: 4, MaxTopicLength: 29})
		p := w.connect("deep")
		for filter, want := range map[string]byte{"a/b/c/d": 0, "a/b/c/d/e": byte(mqtt.TopicFilterInvalid), long[:29]: 0, long: byte(mqtt.TopicFilterInvalid)} {
			s := packet.Subscribe{ID: 1, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte(filter)})}
			p.write(s.Append(nil, p.v))
			var k packet.Suback
			if k.Decode(p.v, packet.SUBACK, p.want(packet.SUBACK)); k.Codes[0] != want {
				t.Errorf("%s: SUBACK 0x%02X, want 0x%02X", filter, k.Codes[0], want)
			}
		}
		p = w.connect("publisher")
		heard := 0
		stop, err := w.b.Subscribe("#", 0, func(mqtt.Message) { heard++ })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for topic, want := range map[string]mqtt.ReasonCode{
			"a/b/c/d/e": mqtt.TopicNameInvalid, "////": mqtt.TopicNameInvalid, "a/b/c/d": mqtt.Success,
			long: mqtt.TopicNameInvalid, long[:29]: mqtt.Success,
		} {
			p.publish(topic, "at QoS 0, twice: the second may be one of a run", 0)
			p.publish(topic, "at QoS 0", 0)
			m := packet.Publish{Topic: []byte(topic), Payload: []byte("x"), QoS: 1, ID: 2, Retain: true}
			p.write(m.Append(nil, p.v))
			var k packet.Ack
			if k.Decode(p.v, packet.PUBACK, p.want(packet.PUBACK)); k.Code != want {
				t.Errorf("%s: PUBACK %v, want %v", topic, k.Code, want)
			}
		}
		synctest.Wait()
		if n := w.b.Stats().Limited.Topics; heard != 6 || n != 2+9 {
			t.Errorf("%d messages were routed, want 6; %d topics and filters are counted", heard, n)
		}
	})
}

// Peers that announce much and send little, and peers that say nothing, cost
// little, and not for long.
func TestIdleConnectionsAreCheap(t *testing.T) {
	for name, first := range map[string][]byte{
		"silent":       nil,
		"large header": {0x10, 0xFF, 0xFF, 0x7F, 0, 4, 'M', 'Q', 'T', 'T'}, // 2 MiB to come
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { idleConnections(t, first) })
		})
	}
}

func idleConnections(t *testing.T, first []byte) {
	const conns, budget = 10_000, 24 << 10 // bytes each, both ends of the pipe included
	w := newWorldSized(t, midge.Config{ConnectTimeout: 10 * time.Second, SysInterval: time.Second, MaxPacketSize: 2 << 20}, 64)
	before := heap()
	all := make([]*peer, conns)
	for i := range all {
		all[i] = w.dial()
		if first != nil {
			all[i].write(first)
		}
	}
	synctest.Wait()
	if each := (heap() - before) / conns; each > budget {
		t.Errorf("%d bytes a connection, want at most %d", each, budget)
	}
	healthy := w.connect("healthy")
	<-time.After(15 * time.Second)
	for _, p := range all {
		p.wantClosed()
	}
	wantSys(t, healthy, "$SYS/broker/clients/refused", func(n int) bool { return n == conns })
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// Half a TLS handshake ends at ConnectTimeout and delays nobody.
func TestHalfHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		w := newWorld(t, midge.Config{Logger: log.logger(), ConnectTimeout: 5 * time.Second})
		raw := transport.ListenPipe("raw", 0)
		ln, err := transport.NewListener(asNet{raw}, "tls://pipe:1", transport.Options{
			TLS: &transport.ServerTLS{Certificates: []tls.Certificate{selfSigned(t)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.b.Serve(ln); err != nil {
			t.Fatal(err)
		}
		half, err := raw.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer half.Close()
		half.Write([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01}) // a ClientHello begins

		nc, err := raw.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		good := &peer{t: t, v: mqtt.V5, nc: tls.Client(nc, &tls.Config{InsecureSkipVerify: true})}
		defer good.nc.Close()
		c := packet.Connect{Version: mqtt.V5, ClientID: []byte("good"), CleanStart: true}
		good.write(c.Append(nil))
		good.want(packet.CONNACK)
		if late := time.Since(start); late != 0 {
			t.Errorf("another client's handshake took %v longer", late)
		}
		half.SetReadDeadline(start.Add(time.Minute))
		io.Copy(io.Discard, half)
		if took := time.Since(start); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("half a handshake ended after %v", took)
		}
		if synctest.Wait(); !log.has("handshake failed") {
			t.Error("the log does not say why")
		}
	})
}

// asNet makes a net.Listener of a pipe.
type asNet struct{ *transport.PipeListener }

func (l asNet) Accept() (net.Conn, error) {
	c, err := l.PipeListener.Accept()
	if err != nil {
		return nil, errors.Join(err, net.ErrClosed)
	}
	return c, nil
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"pipe"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

package firmware

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/firmware/internal/plan"
)

const (
	slirp  = "10.0.2.15" // what QEMU's DHCP server gives away
	static = "10.0.2.77"

	maxRAM   = 44 << 10 // everything: data, stack, heap
	maxFlash = 256 << 10
)

// TestBoard boots the board once and plays with it. The machine's own figures
// are in the log.
func TestBoard(t *testing.T) {
	b := boot(t, build(t, "lm3s6965", "./lm3s6965"), slirp)
	bill := b.wait(t, 0, "memory", func(r report) bool { return r.kind == "memory" })
	b.wait(t, 0, "an address from DHCP", listens(slirp))
	// From here on nothing is allocated. DHCP was, just now.
	start := b.clients(t, 0)

	t.Run("Eight", func(t *testing.T) { testEight(t, b) })
	t.Run("Sequence", func(t *testing.T) { testSequence(t, b) })
	t.Run("Ninth", func(t *testing.T) { testNinth(t, b) })
	t.Run("KeepAlive", func(t *testing.T) { testKeepAlive(t, b) })
	t.Run("Churn", func(t *testing.T) { testChurn(t, b) })

	end := b.clients(t, 0)
	if start.n["mallocs"] != end.n["mallocs"] || start.n["heap"] != end.n["heap"] {
		t.Errorf("allocated while serving:\n%s\n%s", start.rest, end.rest)
	}
	ram := bill.n["static"] + bill.n["stack"] + end.n["heap"]
	if ram > maxRAM || bill.n["flash"] > maxFlash {
		t.Errorf("RAM %d of %d, flash %d of %d", ram, maxRAM, bill.n["flash"], maxFlash)
	}
	if end.n["stack"] >= bill.n["stack"] {
		t.Errorf("stack: %d of %d used", end.n["stack"], bill.n["stack"])
	}
	t.Logf("flash %d; RAM %d = static %d + stack %d (used %d) + heap %d; %d messages in, %d out, %d dropped; mallocs %d (%d at the start)",
		bill.n["flash"], ram, bill.n["static"], bill.n["stack"], end.n["stack"], end.n["heap"],
		end.n["in"], end.n["out"], end.n["dropped"], end.n["mallocs"], start.n["mallocs"])
}

func listens(addr string) func(report) bool {
	return func(r report) bool { return r.kind == "listening" && strings.HasPrefix(r.rest, addr+":") }
}

// TestStaticAddress boots with an address that was built in.
func TestStaticAddress(t *testing.T) {
	b := boot(t, build(t, "lm3s6965", "./lm3s6965", "-ldflags=-X main.addr="+static), static)
	b.wait(t, 0, "the static address", listens(static))
	join(t, b.addr, "one", 4)
}

// TestWiFi builds the board with a radio, which nothing here can run.
func TestWiFi(t *testing.T) {
	if _, err := os.Stat(toolchain(t, "stamp.esp32c3")); err != nil {
		t.Skip("SKIPPED: no registers of the ESP32-C3; ESP32C3_SVD=FOLDER scripts/tinygo.sh esp32c3 makes them")
	}
	build(t, "esp32c3-generic", "./esp32", "-stack-size=8kb", "-ldflags=-X main.ssid=network -X main.password=password")
}

// mosquitto starts one of Debian's clients. Its output is in the buffer once
// the returned function has seen it end.
func mosquitto(t *testing.T, b *board, name string, args ...string) (out *bufio.Scanner, end func() error) {
	t.Helper()
	host, port, err := net.SplitHostPort(b.addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program(t, name, "mosquitto-clients"), append([]string{"-h", host, "-p", port}, args...)...)
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(pipe), cmd.Wait
}

// publishWith runs mosquitto_pub to its end.
func publishWith(t *testing.T, b *board, args ...string) {
	t.Helper()
	out, end := mosquitto(t, b, "mosquitto_pub", args...)
	var said bytes.Buffer
	for out.Scan() {
		fmt.Fprintln(&said, out.Text())
	}
	if err := end(); err != nil {
		t.Fatalf("mosquitto_pub %v: %v\n%s", args, err, said.String())
	}
}

// lines expects a client to print these, and nothing else.
func lines(t *testing.T, out *bufio.Scanner, want ...string) {
	t.Helper()
	for _, w := range want {
		if !out.Scan() {
			t.Fatalf("the client ended before %q", w)
		}
		if out.Text() != w {
			t.Fatalf("got %q, want %q", out.Text(), w)
		}
	}
}

// testEight has eight mosquitto clients at once: six subscribe, at every QoS
// in both versions, one leaves a will behind, and one after the other
// publishes.
func testEight(t *testing.T, b *board) {
	type subscriber struct {
		out *bufio.Scanner
		end func() error
		qos int
	}
	var subs []subscriber
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for qos := range 3 {
			out, end := mosquitto(t, b, "mosquitto_sub", "-V", version, "-q", fmt.Sprint(qos), "-t", "house/+/temp", "-t", "wills/#", "-C", "5", "-F", "%t %q %p")
			subs = append(subs, subscriber{out, end, qos})
			b.clients(t, len(subs)) // bursts through the forwarded port stall
		}
	}
	_, doomed := mosquitto(t, b, "mosquitto_sub", "-V", "mqttv5", "-t", "none", "-W", "3", "--will-topic", "wills/doomed", "--will-payload", "gone", "--will-qos", "2", "-k", "5")
	b.clients(t, 7)
	for qos := range 3 {
		publishWith(t, b, "-t", fmt.Sprintf("house/%d/temp", qos), "-m", fmt.Sprint(20+qos), "-q", fmt.Sprint(qos), "-r")
	}
	publishWith(t, b, "-t", "house/attic/temp", "-m", "25", "-q", "2", "-V", "mqttv5")
	_ = doomed() // it leaves without a word: no DISCONNECT, so its will is due
	for _, s := range subs {
		lines(t, s.out,
			"house/0/temp 0 20",
			fmt.Sprintf("house/1/temp %d 21", min(1, s.qos)),
			fmt.Sprintf("house/2/temp %d 22", s.qos),
			fmt.Sprintf("house/attic/temp %d 25", s.qos),
			fmt.Sprintf("wills/doomed %d gone", s.qos))
		if err := s.end(); err != nil {
			t.Error(err)
		}
	}
	// Who comes late finds what was retained.
	for qos := range 3 {
		topic := fmt.Sprintf("house/%d/temp", qos)
		out, end := mosquitto(t, b, "mosquitto_sub", "-t", topic, "-q", "2", "-C", "1", "-F", "%t %q %r %p")
		lines(t, out, fmt.Sprintf("%s %d 1 %d", topic, qos, 20+qos))
		if err := end(); err != nil {
			t.Error(err)
		}
		publishWith(t, b, "-t", topic, "-n", "-r")
	}
	b.clients(t, 0)
}

// testSequence sends 100,000 numbered messages through the board, between four
// pairs of clients at once.
func testSequence(t *testing.T, b *board) {
	pairs := []struct {
		version, qos byte
		n            int
	}{{4, 0, 20000}, {4, 1, 30000}, {5, 1, 30000}, {5, 2, 20000}}
	type result struct {
		missing int
		err     error
	}
	began := time.Now()
	results := make(chan result)
	for i, p := range pairs {
		topic := fmt.Sprintf("sequence/%d", i)
		sub, pub := join(t, b.addr, "sub"+topic, p.version), join(t, b.addr, "pub"+topic, p.version)
		sub.subscribe(t, topic, max(p.qos, 1))
		go func() {
			missing, err := sub.collect(p.qos, p.n)
			results <- result{missing, err}
		}()
		go func() { results <- result{0, pub.publishAll(topic, p.qos, p.n, 4)} }()
		t.Cleanup(func() { sub.Close(); pub.Close() })
	}
	missing := 0
	for range 2 * len(pairs) {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		missing += r.missing
	}
	took := time.Since(began)
	t.Logf("100000 messages in %v, %.0f a second; of 20000 at QoS 0 %d had no room", took.Round(time.Millisecond), 100000/took.Seconds(), missing)
}

// testNinth has a client too many refused, and let in when there is room.
func testNinth(t *testing.T, b *board) {
	b.clients(t, 0)
	var in []*client
	for i := range plan.Clients {
		in = append(in, join(t, b.addr, fmt.Sprint("client", i), 4))
	}
	if c, code := dial(t, b.addr, "ninth", 4, 0, ""); code != 3 {
		t.Errorf("3.1.1: CONNACK %#x, want 3: server unavailable", code)
	} else {
		c.closed(t)
	}
	if c, code := dial(t, b.addr, "ninth", 5, 0, ""); code != 0x97 {
		t.Errorf("5.0: CONNACK %#x, want 0x97: quota exceeded", code)
	} else {
		c.closed(t)
	}
	// One who is in already may come back: takeover.
	again := join(t, b.addr, "client0", 4)
	in[0].closed(t)
	in[0] = again
	in[1].Close()
	b.clients(t, plan.Clients-1)
	in[1] = join(t, b.addr, "ninth", 4)
	for _, c := range in {
		c.Close()
	}
	b.clients(t, 0)
}

// testKeepAlive has a client fall silent: its place is free after one and a
// half times its keep-alive, and its will is said.
func testKeepAlive(t *testing.T, b *board) {
	heir := join(t, b.addr, "heir", 4)
	heir.subscribe(t, "will", 1)
	silent, code := dial(t, b.addr, "silent", 5, 2, "will")
	if code != 0 {
		t.Fatalf("CONNACK %#x", code)
	}
	b.clients(t, 2)
	began := time.Now()
	head, body, err := heir.next()
	if err != nil || head != publish || !bytes.HasSuffix(body, []byte("gone")) {
		t.Fatalf("%#x %q %v, want the will", head, body, err)
	}
	if after := time.Since(began); after > 4*time.Second {
		t.Errorf("the will came after %v, want 3 s", after)
	}
	silent.closed(t)
	b.clients(t, 1)
	heir.Close()
	b.clients(t, 0)
}

// testChurn has clients come and go, some of them rudely.
func testChurn(t *testing.T, b *board) {
	for i := range 100 {
		c := join(t, b.addr, fmt.Sprint("churn", i%5), 4+byte(i%2))
		if i%3 == 0 {
			c.subscribe(t, "churn/#", 2)
		}
		if i%4 == 0 {
			_ = c.Conn.(*net.TCPConn).SetLinger(0) // RST in place of FIN
		}
		c.Close()
	}
	b.clients(t, 0)
}

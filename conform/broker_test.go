package conform

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	brokerPath = flag.String("broker", "", "path of a mosquitto binary to run the suite against")
	brokerRun  = flag.String("checks", "", "regular expression of the cases to run against -broker")
)

// A mosquitto starts rival brokers on free loopback ports.
type mosquitto struct {
	t *testing.T
}

func (m mosquitto) target(lines ...string) Target {
	m.t.Helper()
	dir := m.t.TempDir()
	port, ws := freePort(m.t), freePort(m.t)
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("user root\nlistener %d 127.0.0.1\n%s\nlistener %d 127.0.0.1\nprotocol websockets\n",
		port, strings.Join(lines, "\n"), ws)
	if !strings.Contains(text, "allow_anonymous") {
		text = "allow_anonymous true\n" + text
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(*brokerPath, "-c", conf)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	stop := func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for range 200 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	return Target{
		Name: "mosquitto", Dial: dialTCP(addr), DialHTTP: dialTCP(fmt.Sprintf("127.0.0.1:%d", ws)),
		With: m.with, Close: stop,
	}
}

// with knows the options mosquitto 2.0 has a configuration line for.
func (m mosquitto) with(o Options) (Target, bool) {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if o.MaxQoS != nil {
		add("max_qos %d", *o.MaxQoS)
		o.MaxQoS = nil
	}
	if o.NoRetain {
		add("retain_available false")
		o.NoRetain = false
	}
	if o.MaxPacketSize > 0 {
		add("max_packet_size %d", o.MaxPacketSize)
		o.MaxPacketSize = 0
	}
	if o.ReceiveMaximum > 0 {
		add("max_inflight_messages %d", o.ReceiveMaximum)
		o.ReceiveMaximum = 0
	}
	if o.TopicAliasMaximum > 0 {
		add("max_topic_alias %d", o.TopicAliasMaximum)
		o.TopicAliasMaximum = 0
	}
	if o.ServerKeepAlive >= 10 { // the least mosquitto takes
		add("max_keepalive %d", o.ServerKeepAlive)
		o.ServerKeepAlive = 0
	}
	if o.DenyPublish != "" {
		acl := filepath.Join(m.t.TempDir(), "acl")
		text := "topic readwrite #\n" + "topic deny " + o.DenyPublish + "\n"
		if os.WriteFile(acl, []byte(text), 0o644) != nil {
			return Target{}, false
		}
		add("acl_file %s", acl)
		o.DenyPublish = ""
	}
	if o.DenyUser != "" {
		pw := filepath.Join(m.t.TempDir(), "pw")
		if os.WriteFile(pw, []byte(o.DenyUser+":other\n"), 0o600) != nil {
			return Target{}, false
		}
		if exec.Command("mosquitto_passwd", "-U", pw).Run() != nil {
			return Target{}, false
		}
		add("password_file %s", pw)
		o.DenyUser = ""
	}
	if o.RefuseEmptyClientID {
		add("allow_zero_length_clientid false")
		o.RefuseEmptyClientID = false
	}
	if o != (Options{}) {
		return Target{}, false
	}
	return m.target(lines...), true
}

func dialTCP(addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// deviations are the cases mosquitto 2.0.11 is known to fail, each held against
// the text of the standard.
func deviations(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("testdata/mosquitto-2.0.11.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		known[line] = true
	}
	return known
}

// TestBroker runs the suite against a real broker when -broker names one and
// holds its failures against the list of that broker's known deviations.
func TestBroker(t *testing.T) {
	if *brokerPath == "" {
		t.Skip("no -broker given")
	}
	target := mosquitto{t}.target()
	defer target.Close()
	filter, err := Match(*brokerRun)
	if err != nil {
		t.Fatal(err)
	}
	known := deviations(t)
	rep := Run(context.Background(), target, filter, func(r Result) {
		switch name := r.Case.String(); {
		case r.Outcome == Fail && !known[name]:
			t.Errorf("%s: %s\n\t%s", name, r.Detail, strings.Join(r.Log, "\n\t"))
		case r.Outcome != Fail && known[name]:
			t.Errorf("%s is listed as a deviation and is %s", name, r.Outcome)
		}
	})
	t.Logf("passed %d failed %d skipped %d", rep.Count(Pass), rep.Count(Fail), rep.Count(Skip))
}

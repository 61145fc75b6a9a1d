package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// midge conform runs against Debian's mosquitto to its end and reports.
func TestConformAgainstMosquitto(t *testing.T) {
	t.Parallel() // it mostly waits
	mosquitto := need(t, "mosquitto", "apt-get install mosquitto")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	ln.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\n", port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, mosquitto, "-v", "-c", conf).want("running")

	out, code := tryFor(t, conformPatience, binary, "conform", "--fast", "--json", address)
	if code != 0 && code != 1 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	var report struct {
		Cases      []struct{ Outcome string }
		Statements []struct{ ID, Outcome string }
	}
	text, _, _ = strings.Cut(out, "\nmidge conform: ") // the error line, if any, is behind the report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("%v\n%.2000s", err, out)
	}
	n := map[string]int{}
	for _, c := range report.Cases {
		n[c.Outcome]++
	}
	t.Logf("mosquitto: %v", n)
	if n["pass"] < 200 || len(report.Statements) < 400 {
		t.Errorf("the run did not get to its end: %v, %d statements", n, len(report.Statements))
	}
}

// Over a real socket, with the waits a real clock costs, midge passes too.
func TestConformAgainstMidge(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"tcp", "ws"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			b := serve(t, "--"+scheme, "127.0.0.1:0")
			out, code := tryFor(t, conformPatience, binary, "conform", "--fast", b.at[scheme])
			if code != 0 {
				t.Errorf("exit %d\n%s", code, out[max(0, len(out)-3000):])
			}
		})
	}
}

package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/mqtt"
)

// pipeTo is a target whose every connection is served by the function.
func pipeTo(serve func(net.Conn)) Target {
	dial := func(context.Context) (net.Conn, error) {
		mine, theirs := net.Pipe()
		go serve(theirs)
		return mine, nil
	}
	t := Target{Name: "fake", Dial: dial, DialHTTP: dial}
	t.With = func(Options) (Target, bool) { return t, true }
	return t
}

// A suite is worth what it refuses: none of these is a broker, and no check
// may take one for it.
func TestNoCheckIsVacuous(t *testing.T) {
	fakes := map[string]func(net.Conn){
		"never answers":    func(c net.Conn) { io.Copy(io.Discard, c); c.Close() },
		"hangs up":         func(c net.Conn) { c.Close() },
		"answers in noise": func(c net.Conn) { go io.Copy(io.Discard, c); c.Write([]byte("HTTP/1.0 400 no\r\n\r\n")); c.Close() },
		"accepts and dies": func(c net.Conn) { c.Read(make([]byte, 4096)); c.Write([]byte{0x20, 2, 0, 0}); c.Close() },
	}
	for name, serve := range fakes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, c := range Cases() {
					if r := c.Run(t.Context(), pipeTo(serve)); r.Outcome != Fail {
						t.Errorf("%s: %s", c, r.Outcome)
					}
				}
			})
		})
	}
}

func TestChecksAreNamed(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range Checks() {
		chapter, rest, ok := strings.Cut(c.Name, "/")
		if seen[c.Name] || !ok || chapter == "" || rest == "" || strings.Contains(rest, "/") {
			t.Errorf("%q is not a name of its own", c.Name)
		}
		seen[c.Name] = true
		if len(c.Versions()) == 0 || len(c.Proves()) == 0 {
			t.Errorf("%s proves nothing", c.Name)
		}
	}
}

func TestRunSkips(t *testing.T) {
	target := Target{
		Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }, NoSlow: true,
		Versions: []mqtt.Version{mqtt.V5},
	}
	rep := Run(context.Background(), target, func(c Case) bool { return c.Check.Slow }, nil)
	if rep.Count(Skip) != len(rep.Results) || len(rep.Results) == 0 {
		t.Errorf("%d of %d cases skipped", rep.Count(Skip), len(rep.Results))
	}
	one, err := Match("^connect/accepted 3.1.1$")
	if err != nil {
		t.Fatal(err)
	}
	rep = Run(context.Background(), target, one, nil)
	if len(rep.Results) != 1 || !strings.Contains(rep.Results[0].Detail, "does not offer MQTT 3.1.1") {
		t.Errorf("got %+v", rep.Results)
	}
	if _, err := Match("("); err == nil {
		t.Error("a broken expression is no filter")
	}
}

// A context that ends stops the run and blames nobody but itself.
func TestRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	rep := Run(ctx, pipeTo(func(c net.Conn) { c.Close() }), nil, func(Result) { n++; cancel() })
	if n != 1 || len(rep.Results) != 1 {
		t.Errorf("%d cases run after the context ended", n)
	}
}

func TestReport(t *testing.T) {
	c := Check{Name: "a/b", proves: map[mqtt.Version][]string{mqtt.V5: {"MQTT-3.1.0-2"}, mqtt.V311: {"MQTT-3.1.0-2"}}}
	d := Check{Name: "a/c", proves: map[mqtt.Version][]string{mqtt.V5: {"MQTT-3.1.0-2"}}}
	rep := NewReport("it", []Result{
		{Case: Case{c, mqtt.V311}, Outcome: Pass},
		{Case: Case{c, mqtt.V5}, Outcome: Pass},
		{Case: Case{d, mqtt.V5}, Outcome: Fail, Detail: "want this, got that"},
	})
	var text, js bytes.Buffer
	if err := rep.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3.1.1", "MQTT-3.1.0-2", "FAIL a/c 5.0", "want this, got that", "it: 2 checks passed, 1 failed, 0 skipped"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if err := rep.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	var out jsonReport
	if err := json.Unmarshal(js.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	outcome := make(map[string]Outcome)
	for _, s := range out.Statements {
		outcome[s.Version+" "+s.ID] = s.Outcome
	}
	if outcome["3.1.1 MQTT-3.1.0-2"] != Pass || outcome["5.0 MQTT-3.1.0-2"] != Fail || outcome["5.0 MQTT-3.1.0-1"] != NotRun {
		t.Errorf("one failing check has to fail its statement, in its version only: %v", outcome)
	}
}

func TestOptionsString(t *testing.T) {
	o := Options{MaxQoS: new(mqtt.AtMostOnce), NoRetain: true, MaxPacketSize: 9}
	if got := o.String(); got != "MaxQoS 0, NoRetain true, MaxPacketSize 9" {
		t.Errorf("got %q", got)
	}
}

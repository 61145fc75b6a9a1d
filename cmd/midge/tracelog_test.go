//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

// A reload begins, changes and ends a trace in the log.
func TestTraceInLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.toml")
	write := func(trace string) {
		writeFile(t, file, "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n[process]\npid_file = 'pid'\n"+trace)
	}
	reload := func() {
		if code, _, errs := runFor(t, "reload", "-c", file); code != exitOK {
			t.Fatal(errs)
		}
	}
	write("")
	urls, logged, end := loggedServing(t, "serve", "-c", file)
	c := connected(t, urls[0], "one")
	say := func(topic string) {
		if _, err := c.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1, Payload: []byte("secret")}); err != nil {
			t.Fatal(err)
		}
	}
	say("before")
	write("[trace]\nclient = 'one'\n")
	reload()
	logged(`msg=trace event=began detail="client \"one\""`)
	say("first")
	logged(`msg=trace event=routed client=one qos=1 topic=first bytes=6 fate="no subscriber"`)
	write("[trace]\ntopic = 'a/#'\npayload = 3\n")
	reload()
	logged(`msg=trace event=began detail="topic \"a/#\""`)
	say("second")
	say("a/b")
	logged(`topic=a/b bytes=6 payload=sec`)
	write("")
	reload()
	logged(`msg=reloaded changed="trace.topic trace.payload"`)
	say("a/c")
	c.Close()
	end()
	logs, _ := filepath.Glob(filepath.Join(filepath.Dir(t.TempDir()), "*", "log"))
	text, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"before", "second", "a/c", "secret"} {
		if strings.Contains(string(text), s) {
			t.Errorf("%s is in the log:\n%s", s, text)
		}
	}
}

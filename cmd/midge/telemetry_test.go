//go:build unix

package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A reload begins, changes and ends what is sent; the end of the process sends
// what is left.
func TestTelemetryReload(t *testing.T) {
	var first, second atomic.Int32
	count := func(n *atomic.Int32) string {
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/metrics" && r.Header.Get("X-Tenant") == "7" {
				n.Add(1)
			}
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	one, two := count(&first), count(&second)
	dir := t.TempDir()
	file := filepath.Join(dir, "m.toml")
	writeFile(t, filepath.Join(dir, "headers"), "X-Tenant: 7\n")
	write := func(endpoint string) {
		writeFile(t, file, "[[listener]]\nurl = 'tcp://127.0.0.1:0'\n[process]\npid_file = 'pid'\n[telemetry]\nheaders_file = 'headers'\nendpoint = '"+endpoint+"'\n")
	}
	reload := func() {
		t.Helper()
		if code, _, errs := runFor(t, "reload", "-c", file); code != exitOK {
			t.Fatal(errs)
		}
	}
	write("")
	_, logged, end := loggedServing(t, "serve", "-c", file)
	write(one)
	reload()
	logged("msg=telemetry endpoint=" + one)
	reload() // changes nothing
	logged("msg=reloaded")
	write(two)
	reload()
	logged("msg=telemetry endpoint=" + two)
	writeFile(t, filepath.Join(dir, "headers"), "nonsense\n")
	if code, _, errs := runFor(t, "reload", "-c", file); code == exitOK || !strings.Contains(errs, "headers:1") {
		t.Errorf("exit %d: %s", code, errs)
	}
	end()
	if first.Load() != 1 || second.Load() != 1 {
		t.Errorf("%d and %d reports", first.Load(), second.Load())
	}
}

//go:build unix

package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	_, at := administered(t)
	if code, out, errs := runFor(t, "health", "--url", at); code != exitOK || out != "ready\n" {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if code, _, errs := runFor(t, "health", "--url", at+".not"); code != exitFailed || !strings.Contains(errs, "is the broker running") {
		t.Errorf("nobody there: exit %d: %s", code, errs)
	}
}

// What a broker says of itself is passed on, whoever it is that says it.
func TestHealthOfTheIll(t *testing.T) {
	at := filepath.Join(t.TempDir(), "ill.sock")
	ln, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte(`{"status":"not ready","error":"midge: the store takes nothing"}`))
	})}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	if code, _, errs := runFor(t, "health", "--url", at); code != exitFailed || !strings.Contains(errs, "the store takes nothing") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

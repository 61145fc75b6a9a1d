package transport

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnixStale(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	if l, err := Listen(t.Context(), "unix://"+file, Options{}); err == nil {
		l.Close()
		t.Fatal("took a socket somebody answers on")
	}
	ln.Close() // as a killed process leaves it
	if _, err := os.Lstat(file); err != nil {
		t.Fatal(err)
	}
	l := listen(t, "unix://"+file, Options{UnixMode: 0o620})
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	connect(t, l, DialOptions{})
}

func TestUnixLeavesFilesAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Listen(t.Context(), "unix://"+file, Options{})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Listen on a file = %v", err)
	}
	if got, _ := os.ReadFile(file); string(got) != "precious" {
		t.Errorf("the file holds %q", got)
	}
}

func TestUnixRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	l := listen(t, "unix:s", Options{})
	if l.String() != "unix:s" {
		t.Errorf("String = %s", l)
	}
	connect(t, l, DialOptions{})
}

// A file may have any name; its URL has it escaped.
func TestUnixNames(t *testing.T) {
	for _, name := range []string{"a#1", "a?b", "a%41", "a b"} {
		file := filepath.Join(t.TempDir(), name)
		u := url.URL{Scheme: "unix", Path: file}
		l := listen(t, u.String(), Options{})
		if _, err := os.Stat(file); err != nil || l.String() != u.String() {
			t.Errorf("%s: %v, %v", l, u.String(), err)
		}
		connect(t, l, DialOptions{})
	}
}

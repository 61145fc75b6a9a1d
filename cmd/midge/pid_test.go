//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A number that a process left behind is nobody's, and two processes do not
// share a file.
func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	writeFile(t, path, "123456789\n")
	if pid, err := readPID(path); err == nil || !strings.Contains(err.Error(), "left behind") {
		t.Errorf("%d, %v", pid, err)
	}
	f, err := writePID(path)
	if err != nil {
		t.Fatal(err)
	}
	if pid, err := readPID(path); err != nil || pid != os.Getpid() {
		t.Errorf("%d, %v", pid, err)
	}
	if _, err := writePID(path); err == nil || !strings.Contains(err.Error(), "another midge") {
		t.Error(err)
	}
	removePID(f)
	if _, err := readPID(path); err == nil {
		t.Error("the file is still there")
	}
	writeFile(t, path, "x")
	if _, err := readPID(path); err == nil || !strings.Contains(err.Error(), "no process number") {
		t.Error(err)
	}
}

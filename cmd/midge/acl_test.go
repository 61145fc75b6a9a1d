package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestACL(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(path, []byte("deny wildcard #\nallow read a/# for group crew\nallow publish a/%c\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"check FILE", exitOK, "makes sense"},
		{"check nofile", exitFailed, "nofile"},
		{"test -i x FILE publish a/x", exitOK, "allow  publish    a/x  FILE:3: allow publish a/%c"},
		{"test -i x FILE publish a/x a/y", exitFailed, "deny   publish    a/y  no rule allows it"},
		{"test -g crew FILE subscribe $share/g/a/b", exitOK, "FILE:2"},
		{"test -g crew FILE subscribe a/#", exitFailed, "FILE:1: deny wildcard #"},
		{"test -g crew FILE any a/#", exitFailed, "FILE:1"},
		{"test -g crew FILE any a/b", exitFailed, "deny   publish"},
		{"test -g crew FILE publish a/#", exitUsage, "wildcard"},
		{"test FILE frob a", exitUsage, `"frob"`},
		{"test FILE publish", exitUsage, "argument is missing"},
		{"FILE", exitUsage, "midge acl test or"},
		{"", exitUsage, "argument is missing"},
		{"--help", exitOK, "Examples:"},
	} {
		args := strings.Fields("acl " + strings.ReplaceAll(c.args, "FILE", path))
		code, out, errs := runFor(t, args...)
		if code != c.code || !strings.Contains(strings.ReplaceAll(out+errs, path, "FILE"), c.says) {
			t.Errorf("midge %s: exit %d, want %d; want %q in\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
)

// logsIn reports whether a password file lets somebody in.
func logsIn(t *testing.T, path, user, password string) bool {
	t.Helper()
	p, err := auth.OpenPasswords(path)
	if err != nil {
		t.Fatal(err)
	}
	id, err := p.Authenticate(context.Background(), &midge.Connect{Username: user, HasUsername: true, Password: []byte(password)})
	return err == nil && id.User == user
}

func TestPasswd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	do := func(want int, says string, args ...string) {
		t.Helper()
		code, out, errs := runFor(t, append([]string{"passwd"}, args...)...)
		if code != want || !strings.Contains(out+errs, says) {
			t.Errorf("passwd %q: exit %d, %s%s", args, code, out, errs)
		}
	}
	do(exitFailed, "midge passwd -c", "-b", path, "alice", "a1")
	do(exitOK, "user alice added", "-c", "-b", path, "alice", "a1")
	do(exitOK, "password of alice changed", "-b", "-H", "sha512-pbkdf2", "-I", "100", path, "alice", "a2")
	do(exitOK, "user carol added", "-b", "-H", "scram-sha-256", path, "carol", "c1")
	withStdin(t, "b1\nrest\n")
	do(exitOK, "user bob added", "-H", "sha512", path, "bob")
	withStdin(t, "")
	do(exitFailed, "empty password", path, "bob")
	for user, password := range map[string]string{"alice": "a2", "bob": "b1", "carol": "c1"} {
		if !logsIn(t, path, user, password) || logsIn(t, path, user, "other") {
			t.Errorf("%s", user)
		}
	}
	do(exitOK, "user bob deleted", "-D", path, "bob")
	do(exitFailed, `no user "bob"`, "-D", path, "bob")
	do(exitUsage, "colon", "-b", path, "a:b", "x")
	do(exitUsage, "argument is missing", path)
	do(exitUsage, "only one makes sense", "-c", "-D", path, "x")
	do(exitUsage, "-I", "-b", "-I", "-1", path, "x", "y")
	do(exitFailed, `"md5"`, "-b", "-H", "md5", path, "x", "y")

	if err := os.WriteFile(path, []byte("# people\nalice:clear\nbob:$6$aa$bb\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o640)
	do(exitOK, "1 passwords hashed", "-U", "-H", "sha512", path)
	text, _ := os.ReadFile(path)
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 || !strings.HasPrefix(string(text), "# people\nalice:$6$") || !strings.HasSuffix(string(text), "\nbob:$6$aa$bb\n") {
		t.Errorf("%v\n%s", st.Mode(), text)
	}
}

package auth

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Hashes that others made are matched by their passwords alone.
func TestForeignHashes(t *testing.T) {
	p, err := OpenPasswords("testdata/passwords")
	if err != nil {
		t.Fatal(err)
	}
	users := *p.users.Load()
	for user, password := range map[string]string{"pb": "pässword", "sha": "pass:word", "rounds": "secret", "argon": "secret", "small": "ü"} {
		if h := users[user]; h == nil || !h.Matches([]byte(password)) || h.Matches([]byte(password+"x")) || h.Matches(nil) {
			t.Errorf("%s", user)
		}
	}
}

// What the real mosquitto_passwd writes today is read, and it edits what we
// wrote.
func TestMosquittoPasswd(t *testing.T) {
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Skip("no mosquitto_passwd here")
	}
	path := filepath.Join(t.TempDir(), "passwords")
	passwordFile(t, path, "ours=argon2id", "other=sha512-pbkdf2")
	for _, args := range [][]string{{"-b", path, "a", "pa"}, {"-H", "sha512", "-b", path, "b", "pb"}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	p, err := OpenPasswords(path)
	if err != nil {
		text, _ := os.ReadFile(path)
		t.Fatalf("%v\n%s", err, text)
	}
	users := *p.users.Load()
	for user, password := range map[string]string{"a": "pa", "b": "pb", "ours": "ours!", "other": "other!"} {
		if h := users[user]; h == nil || !h.Matches([]byte(password)) {
			t.Errorf("%s", user)
		}
	}
}

func TestHashPassword(t *testing.T) {
	for algo, prefix := range map[Algorithm]string{
		Argon2id: "$argon2id$v=19$m=47104,t=1,p=1$", SHA512PBKDF2: "$7$100$", SHA512: "$6$", ScramSHA256: "$scram-sha-256$",
	} {
		rounds := map[Algorithm]int{SHA512PBKDF2: 100}[algo]
		h, err := HashPassword(algo, "p", rounds)
		other, _ := HashPassword(algo, "p", rounds)
		if err != nil || !strings.HasPrefix(h.String(), prefix) || h.String() == other.String() || !h.Matches([]byte("p")) || h.Matches([]byte("q")) {
			t.Errorf("%s: %v, %v", algo, h, err)
		}
	}
	for _, bad := range []struct {
		a      Algorithm
		rounds int
	}{{"md5", 0}, {ScramSHA256, 10}, {SHA512PBKDF2, -1}} {
		if h, err := HashPassword(bad.a, "p", bad.rounds); err == nil {
			t.Errorf("%v: %v", bad, h)
		}
	}
}

func TestParseHashRefuses(t *testing.T) {
	key := "hegg2hSGhHCe9l3Vo8yfcAP4uWSxJTQPV8tlXscMbEwa0e7XbgbJZAasTebbVgZXH4XjSTblx30J23wA/f5Rgw=="
	raw := "WZ830T23pxpgkqWCrRD2YlbEWhW1cbY7JhK5TKBefDU"
	for _, text := range []string{
		"", "clear", "$", "$6$", "$6$usrQWNXlggXLLnKg", "$6$?$" + key, "$6$usrQ$" + key[:40], "$6$usrQ$" + key + "$x", "$5$usrQ$" + key,
		"x$6$usrQ$" + key, "$7$0$usrQ$" + key, "$7$x$usrQ$" + key, "$7$99999999999$usrQ$" + key, "$7$1$usrQ$",
		"$argon2id$v=16$m=64,t=3,p=4$usrQ$" + raw, "$argon2i$v=19$m=64,t=3,p=4$usrQ$" + raw,
		"$argon2id$v=19$m=99999999,t=3,p=4$usrQ$" + raw, "$argon2id$v=19$m=64,t=0,p=4$usrQ$" + raw, "$argon2id$v=19$m=64,t=3,p=256$usrQ$" + raw,
		"$argon2id$v=19$m=64,t=3$usrQ$" + raw, "$argon2id$v=19$t=3,m=64,p=4$usrQ$" + raw, "$argon2id$v=19$m=64,t=3,p=4$usrQ$",
		"$scram-sha-256$10$usrQ$" + raw + "=$" + raw + "=", "$scram-sha-256$4096$usrQ$" + raw + "=$",
	} {
		if h, err := ParseHash(text); err == nil {
			t.Errorf("%q is %v", text, h)
		}
	}
}

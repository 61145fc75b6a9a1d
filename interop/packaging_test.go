package interop

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every configuration that a page of the documentation shows, and the one that
// is installed with the service, is one that midge takes.
func TestConfigurationsInDocs(t *testing.T) {
	c := makeCerts(t)
	dir := t.TempDir()
	for name, from := range map[string]string{
		"server.pem": c.server, "server.key": c.serverKey, "fullchain.pem": c.server, "privkey.pem": c.serverKey,
		"acl": "testdata/acl",
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, binary, "passwd", "-c", "-b", "-H", "sha512-pbkdf2", filepath.Join(dir, "users"), "alice", "alice!")
	check := func(where, text string) {
		conf := filepath.Join(dir, "midge.toml")
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := try(t, binary, "check", "-c", conf); code != 0 {
			t.Errorf("%s: exit %d\n%s\n%s", where, code, out, text)
		}
	}
	service, err := os.ReadFile("../packaging/midge.toml")
	if err != nil {
		t.Fatal(err)
	}
	check("packaging/midge.toml", string(service))
	found := 0
	block := regexp.MustCompile("(?s)```toml\n(.*?)```")
	err = filepath.WalkDir("../docs", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range block.FindAllSubmatch(text, -1) {
			found++
			check(path, string(m[1]))
		}
		return err
	})
	if err != nil || found < 4 {
		t.Errorf("%d configurations: %v", found, err)
	}
}

// systemd finds nothing wrong with the unit, and little that it leaves open.
func TestUnitIsTight(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: systemd-analyze is not there")
	}
	out, code := try(t, analyze, "security", "--offline=true", "--threshold=15", "../packaging/midge.service")
	if strings.Contains(out, "unrecognized option") || strings.Contains(out, "bus") {
		t.Skip("SKIPPED: systemd-analyze looks at no files: " + out)
	}
	if code != 0 || !strings.Contains(out, "Overall exposure level") {
		t.Errorf("exit %d\n%s", code, out)
	}
	out, _ = try(t, analyze, "verify", "../packaging/midge.service")
	for _, line := range strings.Split(out, "\n") {
		// The program and its manual are not installed here, and other units are
		// none of ours.
		if strings.Contains(line, "midge.service") && !strings.Contains(line, "is not executable") && !strings.Contains(line, "Command 'man ") {
			t.Error(line)
		}
	}
}

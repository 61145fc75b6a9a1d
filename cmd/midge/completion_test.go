package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bash completes commands, and the options of the midge that is there.
func TestBashCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not there")
	}
	code, script, _ := runFor(t, "completion", "bash")
	if code != exitOK {
		t.Fatal(code)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "midge")); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct{ words, at, want string }{
		{"midge rel", "1", "reload"},
		{"midge reload --pid", "2", "--pid-file"},
		{"midge --allow", "1", "--allow-anonymous"},
	} {
		cmd := exec.Command(bash, "-c", script+"\nCOMP_WORDS=("+c.words+") COMP_CWORD="+c.at+"; _midge; echo \"${COMPREPLY[*]}\"")
		cmd.Env = append(os.Environ(), "MIDGE_TEST_MAIN=1", "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("%s: %v: %q, want %q", c.words, err, out, c.want)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		_, script, _ := runFor(t, "completion", shell)
		for _, c := range commands() {
			if !strings.Contains(script, c.name) {
				t.Errorf("%s does not know %s", shell, c.name)
			}
		}
		if strings.Contains(script, "%[") {
			t.Errorf("%s:\n%s", shell, script)
		}
	}
	if code, _, errs := runFor(t, "completion", "csh"); code != exitUsage || !strings.Contains(errs, "csh") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/midgemq/midge/internal/config"
)

// manual writes all pages into a folder, in a world without a clock.
func manual(t *testing.T) string {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", "1790000000")
	dir := t.TempDir()
	if code, _, errs := runFor(t, "man", dir); code != exitOK {
		t.Fatal(errs)
	}
	return dir
}

// Each command has a page, with each option that --help has; each key of the
// configuration is in midge.toml(5).
func TestManHasEverything(t *testing.T) {
	dir := manual(t)
	option := regexp.MustCompile(`(?m)^  (-.*?)  `)
	for _, c := range commands() {
		page, err := os.ReadFile(filepath.Join(dir, "man1", "midge-"+c.name+".1"))
		if err != nil {
			t.Error(err)
			continue
		}
		_, help, _ := runFor(t, c.name, "--help")
		for _, m := range option.FindAllStringSubmatch(help, -1) {
			if line := "\n.B " + strings.ReplaceAll(m[1], "-", `\-`) + "\n"; !strings.Contains(string(page), line) {
				t.Errorf("midge-%s(1) has no %s", c.name, m[1])
			}
		}
		if !strings.Contains(string(page), "2026-09-21") {
			t.Errorf("midge-%s(1) is not of the day it was told", c.name)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "man5", "midge.toml.5"))
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.Complete()
	for _, k := range c.Keys() {
		if name := k.Path[strings.LastIndexByte(k.Path, '.')+1:]; !strings.Contains(string(page), "\n.B "+name+" = ") {
			t.Errorf("midge.toml(5) has no %s", k.Path)
		}
	}
}

func TestManIsWellFormed(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("SKIP: mandoc not found: apt-get install mandoc")
	}
	pages, _ := filepath.Glob(filepath.Join(manual(t), "man?", "*"))
	if len(pages) < len(commands()) {
		t.Fatalf("%d pages", len(pages))
	}
	if out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("mandoc: %v\n%s", err, out)
	}
}

func TestManRefusesADateThatIsNone(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "today")
	if code, _, errs := runFor(t, "man", t.TempDir()); code != exitFailed || !strings.Contains(errs, "SOURCE_DATE_EPOCH") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

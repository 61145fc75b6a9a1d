package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	urls, end := startServing(t, "--tcp", "127.0.0.1:0", "--data", dir)
	b := &toolbox{t, urls[0][strings.LastIndex(urls[0], ":")+1:]}
	for _, id := range []string{"one", "two"} {
		b.must("sub", "-c", "-i", id, "-q", "1", "-t", "t/+", "-t", id, "-E")
	}
	withStdin(t, strings.Repeat(strings.Repeat("x", 100)+"\n", 50))
	b.must("pub", "-q", "1", "-t", "t/x", "-l")
	b.must("pub", "-q", "1", "-t", "two", "-m", "for two alone")
	b.must("pub", "-q", "1", "-t", "r", "-r", "-m", "kept")

	code, out, errs := runFor(t, "check", dir)
	for _, want := range []string{
		"in use", "all of it is readable", "2: 0 connected, 2 away", "101 messages", "52 messages, each once", "##########", `"two"`,
	} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Errorf("exit %d, want %q in\n%s%s", code, want, out, errs)
		}
	}
	end()
	code, out, _ = runFor(t, "check", "--json", "--sessions", "1", dir)
	var c checked
	if err := json.Unmarshal([]byte(out), &c); err != nil || code != exitOK {
		t.Fatalf("exit %d, %v", code, err)
	}
	if c.InUse || c.Damaged || c.Total.Sessions != 2 || c.Total.Subscriptions != 4 || c.Total.Queued != 101 ||
		c.Retained.Messages != 1 || len(c.Sessions) != 1 || c.Sessions[0].Client != "two" || c.Sessions[0].Away == nil {
		t.Errorf("%s", out)
	}
}

// A damaged folder is named by check, read by serve, and clean afterwards; the
// damaged file is kept.
func TestCheckDamage(t *testing.T) {
	dir := t.TempDir()
	urls, end := startServing(t, "--tcp", "127.0.0.1:0", "--data", dir)
	b := &toolbox{t, urls[0][strings.LastIndex(urls[0], ":")+1:]}
	b.must("sub", "-c", "-i", "one", "-q", "1", "-t", "t", "-E")
	withStdin(t, strings.Repeat(strings.Repeat("x", 100)+"\n", 50))
	b.must("pub", "-q", "1", "-t", "t", "-l")
	b.must("pub", "-q", "1", "-t", "t", "-m", "the last")
	end()
	file := filepath.Join(dir, "00000001.log")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(content), "xxxx") // in the first message
	content[at] ^= 1
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}

	code, out, _ := runFor(t, "check", dir)
	for _, want := range []string{"DAMAGED", "00000001.log  bytes ", "1 message queued or retained, 0 sessions"} {
		if code != exitDamaged || !strings.Contains(out, want) {
			t.Errorf("exit %d, want %q in\n%s", code, want, out)
		}
	}
	urls, end = startServing(t, "--tcp", "127.0.0.1:0", "--data", dir)
	b.port = urls[0][strings.LastIndex(urls[0], ":")+1:]
	if got := b.must("sub", "-c", "-i", "one", "-q", "1", "-t", "t", "-C", "50", "-W", "20"); !strings.HasSuffix(got, "the last\n") {
		t.Errorf("got %q", got)
	}
	for set, _ := filepath.Glob(dir + "/damaged-*/*.log"); len(set) == 0; set, _ = filepath.Glob(dir + "/damaged-*/*.log") {
		if t.Context().Err() != nil {
			t.Fatal("nothing was set aside")
		}
		<-time.After(time.Millisecond)
	}
	if said := end(); !strings.Contains(said, "store: damaged") || !strings.Contains(said, "00000001.log") || !strings.Contains(said, "messages=1") {
		t.Errorf("it said\n%s", said)
	}
	if code, out, _ = runFor(t, "check", dir); code != exitOK || !strings.Contains(out, "set aside: ") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"check"}, exitUsage, "argument is missing"},
		{[]string{"check", "--help"}, exitOK, "Examples:"},
		{[]string{"check", t.TempDir()}, exitFailed, "there is no store"},
		{[]string{"check", "/nowhere/at/all"}, exitFailed, "/nowhere"},
	} {
		if code, out, errs := runFor(t, c.args...); code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%q: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

package main

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What was acknowledged comes from the broker after the one that took it, with
// every durability: that one ended in good order.
func TestDataOutlivesBroker(t *testing.T) {
	for _, how := range []string{"", "--durability always", "--durability interval --interval 50ms", "--durability none"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			serve := func() (b *toolbox, end func() string) {
				urls, end := startServing(t, append([]string{"--tcp", "127.0.0.1:0", "--data", dir}, strings.Fields(how)...)...)
				return &toolbox{t, urls[0][strings.LastIndex(urls[0], ":")+1:]}, end
			}
			b, end := serve()
			b.must("sub", "-c", "-i", "reader", "-q", "2", "-t", "t/#", "-E")
			b.must("pub", "-q", "1", "-t", "t/1", "-m", "one")
			b.must("pub", "-q", "2", "-t", "t/2", "-m", "two")
			b.must("pub", "-q", "1", "-t", "r/1", "-m", "kept", "-r")
			if said := end(); strings.Contains(said, "level=ERROR") {
				t.Errorf("it complained:\n%s", said)
			}

			b, end = serve()
			if got := b.must("sub", "-c", "-i", "reader", "-q", "2", "-t", "t/#", "-v", "-C", "2", "-W", "20"); got != "t/1 one\nt/2 two\n" {
				t.Errorf("queued: got %q", got)
			}
			if got := b.must("sub", "-t", "r/+", "-C", "1", "-W", "20"); got != "kept\n" {
				t.Errorf("retained: got %q", got)
			}
			end()
		})
	}
}

func TestDataInUse(t *testing.T) {
	dir := t.TempDir()
	serving(t, "--tcp", "127.0.0.1:0", "--data", dir)
	code, _, errs := runFor(t, "--tcp", "127.0.0.1:0", "--data", dir)
	if code != exitFailed || !strings.Contains(errs, "in use by another process") || !strings.Contains(errs, "another folder") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestProgressLine(t *testing.T) {
	got := progressLine("reading x", 50<<20, 200<<20)
	if want := "reading x [#######.......................]  25% of 200 MiB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What keeps a folder from being opened comes with what to do.
func TestDataAdvice(t *testing.T) {
	dir := t.TempDir()
	_, end := startServing(t, "--tcp", "127.0.0.1:0", "--data", dir)
	end()
	file := filepath.Join(dir, "00000001.log")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) { // nothing has been written
		b = make([]byte, 36)
		copy(b, "midgelog")
	} else if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b[8:], 99)
	binary.LittleEndian.PutUint32(b[32:], crc32.Checksum(b[:32], crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, says string }{
		{dir, "start the midge that wrote it"},
		{"/dev/null/x", "read and write, or make"},
	} {
		code, _, errs := runFor(t, "--tcp", "127.0.0.1:0", "--data", c.dir)
		if code != exitFailed || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, want %q in\n%s", c.dir, code, c.says, errs)
		}
	}
}

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store/disk"
	"github.com/midgemq/midge/transport"
)

// What docs/durability.md says of the start is measured by
//
//	go test ./cmd/midge -run TestStartWithMuch -v -args -kept-sessions 100000 -kept-queued 1000000 -kept-retained 100000
var (
	keptSessions = flag.Int("kept-sessions", 200, "sessions that TestStartWithMuch finds")
	keptQueued   = flag.Int("kept-queued", 2000, "messages queued for them in all")
	keptRetained = flag.Int("kept-retained", 200, "retained messages")
	keptBytes    = flag.Int("kept-bytes", 256, "bytes of each message")
)

// A broker starts with much to remember: when it answers, what memory it takes,
// and that nobody's queue is read before its client is back.
func TestStartWithMuch(t *testing.T) {
	dir := t.TempDir()
	began := time.Now()
	fillFolder(t, dir)
	filled := time.Since(began)
	size := folderSize(t, dir)

	began = time.Now()
	p, addr := serveProcess(t, dir)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	handshake(t, c, "somebody new", true)
	first := time.Since(began)
	c.Close()
	read, used := fieldOf(t, p, "io", "rchar"), processorTime(t, p)

	if c, err = net.Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began = time.Now()
	handshake(t, c, "client 0", false)
	r, got := bufio.NewReader(c), 0
	for want := *keptQueued / *keptSessions; got < want; got++ {
		if typ, body := readPacket(t, r); typ>>4 != 3 || len(body) < *keptBytes {
			t.Fatalf("packet %#x with %d bytes", typ, len(body))
		}
	}
	back := time.Since(began)
	its, least := fieldOf(t, p, "io", "rchar")-read, int64(got)*int64(*keptBytes)
	memory := settled(t, func() int64 { return fieldOf(t, p, "status", "RssAnon") * 1024 })
	t.Logf("%s sessions, %s queued, %s retained of %d bytes each, filled in %v",
		group(*keptSessions), group(*keptQueued), group(*keptRetained), *keptBytes, filled.Round(time.Second))
	t.Logf("folder                    %s", humanBytes(size))
	t.Logf("start to first CONNACK    %v, %v of processor time", first.Round(time.Millisecond), used)
	t.Logf("read from disk until then %s", humanBytes(read))
	t.Logf("memory soon after         %s (RssAnon), %d bytes for each message queued", humanBytes(memory), memory/int64(*keptQueued))
	t.Logf("a client comes back       %d messages in %v, %s read for it", got, back.Round(time.Millisecond), humanBytes(its))
	if its < least {
		t.Errorf("%d bytes read for %d messages: they had been in memory", its, got)
	}
	if its > 4*least+1<<16 {
		t.Errorf("%d bytes read for %d messages: others' were among them", its, got)
	}
}

// settled is what read returns once it has not fallen for a while.
func settled(t *testing.T, read func() int64) int64 {
	t.Helper()
	least, since := read(), time.Now()
	for time.Since(since) < time.Second {
		<-time.After(50 * time.Millisecond)
		if now := read(); now < least {
			least, since = now, time.Now()
		}
	}
	return least
}

// fillFolder has a broker keep what is asked for.
func fillFolder(t *testing.T, dir string) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	st, err := disk.Open(dir, disk.Options{Durability: disk.None, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: quiet, Store: st, SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	ln := transport.ListenPipe("fill", 0)
	if err := b.Serve(ln); err != nil {
		t.Fatal(err)
	}
	for i := range *keptSessions {
		c, err := ln.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		handshake(t, c, fmt.Sprint("client ", i), false)
		filter := fmt.Sprint("s/", i)
		write(t, c, 0x82, append(append([]byte{0, 1}, text(filter)...), 1))
		if typ, _ := readPacket(t, bufio.NewReader(c)); typ != 0x90 {
			t.Fatalf("%#x instead of SUBACK", typ)
		}
		write(t, c, 0xe0, nil)
		io.Copy(io.Discard, c)
		c.Close()
	}
	payload := make([]byte, *keptBytes)
	for i := range *keptQueued {
		err = errors.Join(err, b.Publish(mqtt.Message{Topic: fmt.Sprint("s/", i%*keptSessions), Payload: payload, QoS: 1}))
	}
	for i := range *keptRetained {
		err = errors.Join(err, b.Publish(mqtt.Message{Topic: fmt.Sprint("r/", i), Payload: payload, QoS: 1, Retain: true}))
	}
	if err := errors.Join(err, b.Close(), st.Close()); err != nil {
		t.Fatal(err)
	}
}

// serveProcess starts this binary as midge serve, and returns its address.
func serveProcess(t *testing.T, dir string) (pid int, addr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := exec.Command(self, "serve", "--tcp", "127.0.0.1:0", "--data", dir)
	p.Env = append(os.Environ(), "MIDGE_TEST_MAIN=1")
	var errs bytes.Buffer
	p.Stderr = &errs
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Signal(os.Interrupt)
		if err := p.Wait(); err != nil {
			t.Errorf("midge serve: %v\n%s", err, errs.String())
		}
		t.Log(errs.String())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, addr, found := strings.Cut(strings.TrimSpace(line), "tcp://")
	if err != nil || !found {
		t.Fatalf("midge serve said %q, %v", line, err)
	}
	return p.Process.Pid, addr
}

func text(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

func write(t *testing.T, c net.Conn, typ byte, body []byte) {
	t.Helper()
	if _, err := c.Write(append([]byte{typ, byte(len(body))}, body...)); err != nil {
		t.Fatal(err)
	}
}

// handshake connects as a 3.1.1 client.
func handshake(t *testing.T, c net.Conn, id string, clean bool) {
	t.Helper()
	flags := byte(0)
	if clean {
		flags = 2
	}
	write(t, c, 0x10, append(append(text("MQTT"), 4, flags, 0, 0), text(id)...))
	ack := make([]byte, 4) // and not a byte of what follows
	if _, err := io.ReadFull(c, ack); err != nil || ack[0] != 0x20 || ack[3] != 0 {
		t.Fatalf("%s: CONNACK %x, %v", id, ack, err)
	}
}

func readPacket(t *testing.T, r *bufio.Reader) (typ byte, body []byte) {
	t.Helper()
	typ, err := r.ReadByte()
	n := 0
	for shift, more := 0, true; more && err == nil; shift += 7 {
		var c byte
		c, err = r.ReadByte()
		n |= int(c&0x7f) << shift
		more = c&0x80 != 0
	}
	body = make([]byte, n)
	if err == nil {
		_, err = io.ReadFull(r, body)
	}
	if err != nil {
		t.Fatal(err)
	}
	return typ, body
}

// fieldOf is a number of /proc/PID/file.
func fieldOf(t *testing.T, pid int, file, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut("\n"+string(b), "\n"+name+":")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// processorTime is what a process has used, in steps of 10 ms.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest) // from the third field of stat on
	var ticks int64
	for _, s := range f[11:13] {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func folderSize(t *testing.T, dir string) (size int64) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, name := range all {
		info, e := os.Stat(name)
		if err = errors.Join(err, e); e == nil {
			size += info.Size()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return size
}

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/midgemq/midge/tiny"
)

// The bill adds up, ends with the total in bytes, and follows the limits.
func TestTinyBill(t *testing.T) {
	code, out, errs := runFor(t, "tiny", "--bill", "--clients", "4", "--receive-buffer", "-1", "--retained", "-1")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)(\d+) x +(\d+) = +(\d+)$`).FindAllStringSubmatch(out, -1) {
		count, _ := strconv.Atoi(m[1])
		each, _ := strconv.Atoi(m[2])
		bytes, _ := strconv.Atoi(m[3])
		if count*each != bytes {
			t.Errorf("%s is wrong", m[0])
		}
		sum += bytes
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	want := tiny.Limits{Clients: 4, ReceiveBuffer: -1, Retained: -1}.Bytes()
	if last := strings.Fields(lines[len(lines)-1]); len(last) != 2 || last[0] != "total" || last[1] != fmt.Sprint(sum) || sum != want {
		t.Errorf("%q, the lines come to %d, Limits say %d", last, sum, want)
	}
}

// midge tiny serves, and retained messages outlive it.
func TestTinyServes(t *testing.T) {
	flash := t.TempDir() + "/flash"
	t.Run("first", func(t *testing.T) {
		urls := serving(t, "tiny", "--tcp", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--retained-file", flash, "--max-packet", "16384", "--slab", "262144", "--queue", "64", "--inflight", "16")
		if len(urls) != 2 {
			t.Fatalf("listens on %q", urls)
		}
		code, out, errs := runFor(t, "conform", "--fast", "--run", "^(qos|retain)/", urls[0])
		if code != exitOK || !strings.Contains(out, " 0 failed") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
		if code, _, errs := runFor(t, "pub", "--url", strings.Replace(urls[1], "tcp:", "mqtt:", 1)+"/kept", "-r", "-m", "here"); code != exitOK {
			t.Errorf("pub: exit %d, %s", code, errs)
		}
	})
	t.Run("second", func(t *testing.T) {
		urls := serving(t, "tiny", "--tcp", "127.0.0.1:0", "--retained-file", flash, "--max-packet", "16384", "--slab", "262144", "--queue", "64", "--inflight", "16")
		code, out, errs := runFor(t, "sub", "--url", strings.Replace(urls[0], "tcp:", "mqtt:", 1)+"/kept", "-C", "1", "-W", "10")
		if code != exitOK || strings.TrimSpace(out) != "here" {
			t.Errorf("sub: exit %d, %q %s", code, out, errs)
		}
	})
	code, _, errs := runFor(t, "tiny", "--retained-file", flash, "--retained-bytes", "60000", "--slab", "262144")
	if code != exitFailed || !strings.Contains(errs, "made for other limits") {
		t.Errorf("a file of another size: exit %d, %s", code, errs)
	}
}

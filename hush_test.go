package midge_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
)

// A flood of bad connections is a few lines a second, and how many there would
// have been.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBook
		w := newWorld(t, midge.Config{Logger: log.logger()})
		bad := func() {
			p := w.dial()
			fmt.Fprint(p.nc, "GET / HTTP/1.1\r\n\r\n")
			p.wantClosed()
		}
		for range 100 {
			bad()
		}
		<-time.After(time.Second)
		bad()
		synctest.Wait()
		if n := strings.Count(log.b.String(), "connection refused"); n != 21 {
			t.Errorf("%d lines, want 21", n)
		}
		if !log.has("not_said_before=80") {
			t.Errorf("the others are not counted:\n%s", &log.b)
		}
	})
}

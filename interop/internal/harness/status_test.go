package harness

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where there is no terminal, lines stay, and are few.
func TestStatusLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		l := StatusLine{W: &out, Every: 10 * time.Second}
		for i := range 25 {
			l.Say("%d done", i)
			<-time.After(time.Second)
		}
		l.End()
		if got := out.String(); got != "0 done\n10 done\n20 done\n" {
			t.Errorf("%q", got)
		}
	})
}

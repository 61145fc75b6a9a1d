package telemetry

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/midgemq/midge/trace"
)

func TestParseParent(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	p, ok := parseParent([]byte(good))
	if !ok || !p.sampled || p.trace[0] != 0x0a || p.trace[15] != 0x9c || p.span[0] != 0xb7 || p.span[7] != 0x31 {
		t.Errorf("%+v %v", p, ok)
	}
	for text, want := range map[string]bool{
		strings.TrimSuffix(good, "1") + "0":    true,
		"cc" + good[2:]:                        true,
		"cc" + good[2:] + "-more":              true, // of a version to come
		good + "-more":                         false,
		"ff" + good[2:]:                        false,
		"":                                     false,
		good[:54]:                              false,
		strings.ToUpper(good):                  false,
		strings.Replace(good, "b7", "xx", 1):   false,
		strings.Replace(good, "-b7", "_b7", 1): false,
		"00-" + strings.Repeat("0", 32) + good[35:]: false,
		good[:36] + strings.Repeat("0", 16) + "-01": false,
	} {
		if _, ok := parseParent([]byte(text)); ok != want {
			t.Errorf("%s: %v", text, ok)
		}
	}
}

// However long names and state are, a journey is short, and its spans are.
func TestJourneysAreCurbed(t *testing.T) {
	e := new(Exporter)
	long := strings.Repeat("é", 1<<15)
	j := &trace.Journey{Parent: "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-" + long, State: long, Client: long, Topic: long}
	for range trace.MaxStops {
		j.Stop(long, trace.Sent, time.Now())
	}
	sampler{e}.Tell(j)
	b, n := appendJourney(nil, 2, e.some()[0])
	if n != 2+trace.MaxStops || len(b) > n*(2*mostName+mostState+512) || !utf8.ValidString(j.Topic) || len(j.Topic) < mostName-1 {
		t.Errorf("%d spans have %d bytes", n, len(b))
	}
	if p, ok := parseParent([]byte(j.Parent)); !ok || !p.sampled {
		t.Error("its parent is lost")
	}
}

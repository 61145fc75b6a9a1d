package topic_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/midgemq/midge/topic"
)

// naive is Match as the standard tells it, level by level.
func naive(filter, name string) bool {
	if strings.HasPrefix(name, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false
	}
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(n) || (level != "+" && level != n[i]) {
			return false
		}
		if i == len(n)-1 && len(f) == len(n)+1 && f[i+1] == "#" {
			return true
		}
	}
	return len(f) == len(n)
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"a/b", "#", "+/a/#", "$share/g/a/+", "$share//a", "a//", "/", "+", "$SYS/#", "é/\u00a0"} {
		f.Add(s, "a/b")
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		err := topic.CheckFilter(filter)
		if other := topic.CheckFilter([]byte(filter)); (err == nil) != (other == nil) {
			t.Fatalf("%q as a string: %v, as bytes: %v", filter, err, other)
		}
		if err != nil || topic.CheckName(name) != nil {
			return
		}
		if _, rest, ok := topic.Shared(filter); ok {
			filter = rest
		}
		got := topic.Match(filter, name)
		if want := naive(filter, name); got != want {
			t.Fatalf("Match(%q, %q) = %v, want %v", filter, name, got, want)
		}
		if !topic.HasWildcard(filter) && got != (filter == name) {
			t.Fatalf("%q without wildcards and %q: %v", filter, name, got)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"a", "", "a/#", "\x00", "\xff", "\xed\xa0\x80", "ü/é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		want := name != "" && len(name) <= 65535 && utf8.ValidString(name) && !strings.ContainsAny(name, "\x00+#")
		if got := topic.CheckName(name) == nil; got != want {
			t.Fatalf("CheckName(%q) accepts: %v, want %v", name, got, want)
		}
		if topic.CheckName(name) == nil && !topic.Match(name, name) {
			t.Fatalf("%q does not match itself", name)
		}
	})
}

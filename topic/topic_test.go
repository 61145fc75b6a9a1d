package topic_test

import (
	"strings"
	"testing"

	"github.com/midgemq/midge/topic"
)

// [MQTT-4.7.1-1, 5.0] [MQTT-4.7.1-2, 5.0] [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3]
// [MQTT-4.8.2-1, 5.0] [MQTT-4.8.2-2, 5.0]
func TestCheckFilter(t *testing.T) {
	long := strings.Repeat("x", 65535)
	for filter, ok := range map[string]bool{
		"a": true, "a/b": true, "/": true, "//": true, "#": true, "a/#": true, "/#": true, "+": true,
		"+/+": true, "a/+/b": true, "+/#": true, "$SYS/#": true, long: true, " ": true, "\uFEFF": true,
		"": false, "a#": false, "#/a": false, "a/#/b": false, "##": false, "a+": false, "+a": false, "a/+b/c": false,
		"a\x00": false, "\xff": false, "\xed\xa0\x80": false, long + "x": false,
		"$share/g/a": true, "$share/g/#": true, "$share/g//": true, "$share/g/$SYS/a": true, "$shared": true, "$sharex/g": true,
		"$share": false, "$share/": false, "$share/g": false, "$share/g/": false, "$share//a": false,
		"$share/g+/a": false, "$share/#/a": false, "$share/g/a#": false,
	} {
		if got := topic.CheckFilter(filter) == nil; got != ok {
			t.Errorf("filter %.40q is accepted: %v", filter, got)
		}
		if got := topic.CheckFilter([]byte(filter)) == nil; got != ok {
			t.Errorf("filter %.40q as bytes is accepted: %v", filter, got)
		}
	}
}

// [MQTT-3.3.2-2] [MQTT-4.7.3-1]
func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "/": true, "$SYS/a": true, "a b": true, "ä": true,
		"": false, "a/#": false, "+": false, "a+b": false, "\x00": false, "\xc3": false,
	} {
		if got := topic.CheckName(name) == nil; got != ok {
			t.Errorf("name %q is accepted: %v", name, got)
		}
	}
}

// Every filter and every name of up to five characters from a small alphabet,
// against the standard's own words.
func TestMatchBruteForce(t *testing.T) {
	var filters, names []string
	var grow func(s string)
	grow = func(s string) {
		if topic.CheckFilter(s) == nil {
			filters = append(filters, s)
		}
		if topic.CheckName(s) == nil {
			names = append(names, s)
		}
		if len(s) < 5 {
			for _, c := range "a/+#$" {
				grow(s + string(c))
			}
		}
	}
	grow("")
	tried := 0
	for _, f := range filters {
		for _, n := range names {
			if got, want := topic.Match(f, n), naive(f, n); got != want {
				t.Fatalf("Match(%q, %q) = %v", f, n, got)
			}
			tried++
		}
	}
	if tried < 100_000 {
		t.Errorf("only %d pairs were tried", tried)
	}
}

// [MQTT-4.7.2-1] [MQTT-4.7.3-4]: $ is apart, and bytes are compared as they are.
func TestMatchLiterally(t *testing.T) {
	for _, c := range []struct {
		filter, name string
		want         bool
	}{
		{"#", "$SYS/a", false},
		{"+/a", "$SYS/a", false},
		{"$SYS/#", "$SYS/a", true},
		{"$SYS/+", "$SYS/a", true},
		{"a/#", "a/$b", true},
		{"é", "e\u0301", false},
		{"A", "a", false},
		{"\uFEFFa", "a", false},
		{"a/#", "a", true},
		{"a/#", "ab", false},
	} {
		if got := topic.Match(c.filter, []byte(c.name)); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.name, got)
		}
	}
}

func TestShared(t *testing.T) {
	for filter, want := range map[string][2]string{
		"$share/g/a/b": {"g", "a/b"}, "$share/g//": {"g", "/"}, "$share/g/#": {"g", "#"},
		"$share/g/": {}, "$share/g": {}, "$share//a": {}, "a/b": {}, "share/g/a": {},
	} {
		group, rest, ok := topic.Shared(filter)
		if ok != (want != [2]string{}) || (ok && (group != want[0] || rest != want[1])) {
			t.Errorf("Shared(%q) = %q, %q, %v", filter, group, rest, ok)
		}
	}
	if topic.Levels("a//b/") != 4 || topic.Levels("") != 1 {
		t.Error("levels are one more than slashes")
	}
}

func TestNothingAllocates(t *testing.T) {
	filter, name := []byte("$share/g/sensors/+/é/#"), []byte("sensors/attic/é/now")
	if n := testing.AllocsPerRun(100, func() {
		topic.CheckFilter(filter)
		topic.CheckName(name)
		_, rest, _ := topic.Shared(filter)
		if !topic.Match(rest, name) || !topic.HasWildcard(rest) || topic.Levels(name) != 4 {
			t.Fatal("no match")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

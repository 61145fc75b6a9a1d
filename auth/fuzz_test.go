package auth

import (
	"strings"
	"testing"

	"github.com/midgemq/midge/topic"
)

// Whatever a file says, it is refused with lines named or it can be asked; and
// what may be subscribed to may be received, under our own rules.
func FuzzParseACL(f *testing.F) {
	for _, seed := range []string{
		"topic read a/#\nuser x\npattern deny %u/%c", "allow read # for user a*", "group g a client b\ndeny wildcard #\nallow readwrite \"a b\"/%c",
		"order deny-first\nallow publish %u\ndeny publish %u/x for anonymous", "\ufeffallow read a",
	} {
		f.Add(seed, "alice", "c/+", "a/b/$SYS")
	}
	f.Fuzz(func(t *testing.T, text, user, client, name string) {
		a, err := ParseACL("f", strings.NewReader(text))
		if err != nil {
			if !strings.Contains(err.Error(), "f:") {
				t.Fatalf("no line in %v", err)
			}
			return
		}
		s := Subject{User: user, Client: client}
		if topic.CheckName(name) == nil {
			a.Ask(s, Publish, name)
			a.Ask(s, Receive, name)
		}
		if topic.CheckFilter(name) == nil {
			a.Ask(s, Subscribe, name)
		}
	})
}

// A filter that covers another matches all that the other does, and a line is
// about what its filter matches.
func FuzzCovers(f *testing.F) {
	f.Add("a/#", "a/+/b", "a/x/b")
	f.Add("+/#", "#", "$SYS")
	f.Add("#", "+", "/")
	f.Fuzz(func(t *testing.T, by, filter, name string) {
		if topic.CheckFilter(by) != nil || topic.CheckFilter(filter) != nil || topic.CheckName(name) != nil {
			return
		}
		if found := forTopic(&view{list: []*line{line{actions: Publish}.about(by)}}, Publish, name) != nil; found != topic.Match(by, name) {
			t.Errorf("a line about %q, asked about %q, says %v", by, name, found)
		}
		if covers(by, filter) && topic.Match(filter, name) && !topic.Match(by, name) {
			t.Errorf("%q covers %q, but not %q", by, filter, name)
		}
	})
}

// A hash that is read is one that can be compared with, and reads back.
func FuzzParseHash(f *testing.F) {
	f.Add("$6$usrQWNXlggXLLnKg$hegg2hSGhHCe9l3Vo8yfcAP4uWSxJTQPV8tlXscMbEwa0e7XbgbJZAasTebbVgZXH4XjSTblx30J23wA/f5Rgw==")
	f.Add("$argon2id$v=19$m=64,t=3,p=4$WJ1wC/LJLbTjuIxY/7D9lg$WZ830T23pxpgkqWCrRD2YlbEWhW1cbY7JhK5TKBefDU")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHash(text)
		if err == nil && h.String() != text {
			t.Errorf("%q became %q", text, h)
		}
	})
}

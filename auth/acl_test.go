package auth

import (
	"fmt"
	"strings"
	"testing"
)

// parse is ParseACL of a text that is right.
func parse(t *testing.T, text string) *ACL {
	t.Helper()
	a, err := ParseACL("acl", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A case is "user client action topic verdict", with - for no user and the
// line that decides behind the verdict, 0 if none does.
func decide(t *testing.T, a *ACL, cases string) {
	t.Helper()
	actions := map[string]Action{"pub": Publish, "recv": Receive, "sub": Subscribe}
	for l := range strings.Lines(cases) {
		f := strings.Fields(l)
		if len(f) == 0 {
			continue
		}
		s := Subject{User: strings.TrimPrefix(f[0], "-"), Client: f[1]}
		v := a.Ask(s, actions[f[2]], f[3])
		place := ""
		if f[5] != "0" {
			place = "acl:" + f[5]
		}
		if got := map[bool]string{true: "allow", false: "deny"}[v.Allowed]; got != f[4] || v.Place != place {
			t.Errorf("%s: %s %s (%s), want %s acl:%s", strings.TrimSpace(l), got, v.Place, v.Rule, f[4], f[5])
		}
		// The broker's way to ask agrees.
		r := rights{view: *a.view(&s)}
		c := &guest{g: New(Policy{}), id: s.Client}
		c.identity.Store(&Identity{User: s.User, Proof: nil})
		c.g = New(Policy{ACL: a, Anonymous: AnonymousAlways})
		may := map[string]bool{"pub": c.MayPublish([]byte(f[3])), "recv": c.MayReceive([]byte(f[3])), "sub": c.MaySubscribe(f[3])}[f[2]]
		if may != v.Allowed {
			t.Errorf("%s: the broker is told %v (%d lines)", strings.TrimSpace(l), may, len(r.view.list))
		}
	}
}

func TestMosquittoACL(t *testing.T) {
	a := parse(t, `
# nobody in particular
topic read public/#
topic deny public/secret
topic $SYS/broker/uptime
user alice
topic readwrite a/#
topic write  with space/x
topic deny a/hidden/#
topic read #
user bob smith
topic read
user carol
topic write c/+/d
user alice
topic write late
pattern write dev/%c/up
pattern read dev/%c/down
pattern deny dev/%c/up/no
pattern readwrite u/%u/#
`)
	decide(t, a, `
- x recv public/a      allow 3
- x recv public        allow 3
- x pub  public/a      deny 0
- x recv public/secret deny 4
- x recv $SYS/broker/uptime allow 5
- x pub  $SYS/broker/uptime allow 5
- x recv $SYS/broker/load   deny 0
- x sub  #             allow 0
- x sub  $SYS/#        allow 0

alice x recv public/a  allow 10
alice x pub  public/a  deny 0
alice x pub  a/b       allow 7
alice x pub  a         allow 7
alice x pub  a/hidden/x deny 9
alice x recv a/hidden/x deny 9
alice x recv other     allow 10
alice x recv $SYS/broker/uptime deny 0
alice x pub  late      allow 16

carol x pub  c/1/d     allow 14
carol x pub  c/1/2/d   deny 0
carol x pub  c/d       deny 0
dave  x pub  a/b       deny 0

alice x pub  dev/x/up    allow 17
alice y pub  dev/x/up    deny 0
- x     pub  dev/x/up    allow 17
- x     recv dev/x/down  allow 18
- x     pub  dev/x/up/no deny 19
alice x pub  u/alice/1   allow 20
alice x pub  u/bob/1     deny 0
- x     pub  u//1        deny 0

+     x pub  u/bob/1     deny 19
dave  # pub  dev/x/up    deny 19
a/b   x pub  u/a/b/1     allow 20
$SYS  x pub  u/$SYS/1    allow 20
`)
	bob := Subject{User: "bob smith", Client: "x"}
	if v := a.Ask(bob, Publish, "read"); !v.Allowed || v.Rule != "topic read" {
		t.Errorf("%+v", v)
	}
	if v := a.Ask(Subject{User: "alice"}, Publish, "with space/x"); !v.Allowed || v.Place != "acl:8" {
		t.Errorf("%+v", v)
	}
}

// A user name must not open a tree that its pattern was not about.
func TestPatternOpensNoTree(t *testing.T) {
	for _, text := range []string{"pattern readwrite %u/#", "allow readwrite %u/#"} {
		decide(t, parse(t, text), `
$SYS  x pub  $SYS/broker/x deny 0
$SYS  x recv $SYS/broker/x deny 0
alice x pub  alice/x       allow 1
`)
	}
}

// Rules that go by the prefix of a topic, or that take "a/#" not to be about
// "a", are how others were passed by.
func TestFiltersAreFilters(t *testing.T) {
	for _, text := range []string{
		"topic readwrite allowed\ntopic readwrite a/#\ntopic readwrite b/+/c\ntopic readwrite /d",
		"allow readwrite allowed\nallow readwrite a/#\nallow readwrite b/+/c\nallow readwrite /d",
	} {
		decide(t, parse(t, text), `
- x pub  allowed        allow 1
- x recv allowed/secret deny 0
- x pub  allowed/secret deny 0
- x pub  allowedx       deny 0
- x recv a              allow 2
- x pub  a              allow 2
- x pub  a/b/c          allow 2
- x pub  ab             deny 0
- x pub  b//c           allow 3
- x pub  b/c            deny 0
- x pub  d              deny 0
- x pub  /d             allow 4
- x pub  /d/            deny 0
`)
	}
}

func TestRules(t *testing.T) {
	a := parse(t, `
group crew alice client:x client esp-*
deny wildcard # for user guest
deny read secret/#
allow publish sensors/%c/# for client esp-* user alice
allow read,publish chat/+ for group crew anonymous
allow subscribe "two words/#" for user bob
allow publish u/%u/#
deny publish u/+/no
allow read # for user "for" guest alice
`)
	decide(t, a, `
esp   esp-1 pub  sensors/esp-1/t  allow 5
esp   esp-1 pub  sensors/esp-2/t  deny 0
bob   cam-1 pub  sensors/cam-1/t  deny 0
alice cam-1 pub  sensors/cam-1/t  allow 5

alice x     recv chat/1           allow 6
bob   esp-9 pub  chat/1           allow 6
-     q     sub  chat/1           allow 6
-     q     sub  chat/+           allow 6
-     q     sub  chat/#           deny 0
-     q     sub  #                deny 0
bob   q     pub  chat/1           deny 0

guest g     sub  a/+              deny 3
guest g     sub  a/b              allow 10
guest g     recv a/b              allow 10
for   g     sub  #                allow 10
alice g     sub  #                allow 10
alice g     recv secret           deny 4
alice g     sub  secret/#         deny 4
alice g     sub  secret/a         deny 4
alice g     sub  +/a              allow 10
alice g     recv secret/a         deny 4
alice g     sub  $SYS/#           deny 0

bob   g     pub  u/bob/x          allow 8
bob   g     pub  u/bob/no         allow 8
bob   g     pub  u/eve/x          deny 0
bob   g     pub  u/eve/no         deny 9
a/b   g     pub  u/a/b/x          deny 0
+     g     pub  u/a/x            deny 0
`)
	if v := a.Ask(Subject{User: "bob"}, Subscribe, "two words/x"); !v.Allowed {
		t.Errorf("%+v", v)
	}
	if v := a.Ask(Subject{User: "bob"}, Receive, "two words/x"); v.Allowed {
		t.Errorf("%+v", v)
	}
}

func TestDenyFirst(t *testing.T) {
	text := "allow publish a/#\ndeny publish a/b\n"
	decide(t, parse(t, text), "- x pub a/b allow 1")
	decide(t, parse(t, "order deny-first\n"+text), "- x pub a/b deny 3\n- x pub a/c allow 2")
	decide(t, parse(t, "order as-written\n"+text), "- x pub a/b allow 2")
}

// A deny whose names cannot be put in place denies too much, not too little.
func TestUnsafeDeny(t *testing.T) {
	decide(t, parse(t, "deny publish u/%u/private\nallow publish #"), `
alice x pub u/alice/private deny 1
alice x pub u/alice/public  allow 2
+     x pub u/alice/public  deny 1
-     x pub u//private      allow 2
`)
}

func TestEmptyACLDenies(t *testing.T) {
	decide(t, parse(t, "# nothing\n"), "- x pub a deny 0\n- x recv a deny 0\n- x sub a deny 0")
}

// Errors say where, and all of them at once.
func TestACLErrors(t *testing.T) {
	for text, wants := range map[string][]string{
		"topic\nuser\ntopic frob a/b\ntopic read a/#/b\nallow read a\npattern read +x": {
			"acl:1: a topic", "acl:2: a user", `acl:3: "frob"`, `acl:4: "a/#/b"`, `acl:5: "allow"`, `acl:6: "+x"`,
		},
		"allow\nallow frob a\nallow read\nallow read a for\nallow read a for user\ngroup\norder x\ntopic a\nallow read \"a": {
			"acl:4: for whom", "acl:5: a name", "acl:6: want group", "acl:7: want order", `acl:8: "topic"`, "acl:9: a quote",
		},
		"allow\nallow frob a\nallow read\nallow read a+": {
			"acl:1: it says nothing", `acl:2: "frob"`, "acl:3: a topic", `acl:4: "a+"`,
		},
		"group g group h": {"acl:1: the members"},
		"allow publish " + strings.Repeat("x", 2<<20): {"acl:1: "},
	} {
		_, err := ParseACL("acl", strings.NewReader(text))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.60q: %v, want %q", text, err, want)
			}
		}
	}
	if _, err := LoadACL("nofile"); err == nil {
		t.Error("a file that is not there")
	}
}

// A rule reads back as it was written.
func TestRuleString(t *testing.T) {
	for _, text := range []string{
		"allow publish a/# b for user alice client x-* group g anonymous",
		`deny subscribe,receive "two words" "for" for user "user"`,
		"allow read #",
		"allow publish a for anonymous",
	} {
		a := parse(t, text)
		if got := a.source.(*ruleSet).list[0].String(); got != text {
			t.Errorf("%s became %s", text, got)
		}
	}
}

func TestCovers(t *testing.T) {
	filters := []string{"#", "+", "a", "a/#", "a/+", "+/#", "+/b", "a/b", "a/b/#", "a/+/c", "$SYS/#", "$SYS/a", "/", "+/+", "a/"}
	names := []string{"a", "b", "a/b", "a/b/c", "a/", "/", "a/x/c", "$SYS", "$SYS/a", "b/b", "a/b/c/d"}
	matches := func(f, n string) bool { return forTopic(&view{list: []*line{line{actions: 1}.about(f)}}, 1, n) != nil }
	for _, by := range filters {
		for _, f := range filters {
			got := covers(by, f)
			for _, n := range names {
				if got && matches(f, n) && !matches(by, n) {
					t.Errorf("%s covers %s, but not %s", by, f, n)
				}
			}
			if by == f && !got {
				t.Errorf("%s does not cover itself", f)
			}
		}
	}
	for _, c := range []string{"# a", "# +/b", "a/# a", "a/# a/+/c", "+/+ a/b", "+/# a/b", "+/# #", "$SYS/# $SYS/a"} {
		by, f, _ := strings.Cut(c, " ")
		if !covers(by, f) {
			t.Errorf("%s does not cover %s", by, f)
		}
	}
}

// Deciding allocates nothing.
func TestDecisionsAllocateNothing(t *testing.T) {
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "allow readwrite room/%d/%%c/#\n", i)
	}
	c := &guest{g: New(Policy{ACL: parse(t, text.String()), Anonymous: AnonymousAlways}), id: "x"}
	c.identity.Store(&Identity{})
	topic, filter := []byte("room/19/x/t"), "room/19/x/+"
	if n := testing.AllocsPerRun(100, func() {
		if !c.MayPublish(topic) || !c.MayReceive(topic) || !c.MaySubscribe(filter) {
			t.Fatal("denied")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecision(b *testing.B) {
	for _, rules := range []int{1, 20, 200} {
		b.Run(fmt.Sprint(rules, " rules"), func(b *testing.B) {
			var text strings.Builder
			for i := range rules {
				fmt.Fprintf(&text, "allow readwrite room/%d/%%c/#\n", i)
			}
			a, err := ParseACL("acl", strings.NewReader(text.String()))
			if err != nil {
				b.Fatal(err)
			}
			c := &guest{g: New(Policy{ACL: a, Anonymous: AnonymousAlways}), id: "x"}
			c.identity.Store(&Identity{})
			topic := fmt.Appendf(nil, "room/%d/x/t", rules-1)
			for b.Loop() {
				c.MayPublish(topic)
			}
		})
	}
}

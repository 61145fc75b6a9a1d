package conform

import "strings"

var topicChecks = []Check{
	check("topic/wildcards", wildcards, on31, on311("4.7.1-2 4.7.1-3 4.7.3-4 3.3.2-3 X311-3.8.3-a"), on5("4.7.1-1 4.7.1-2 4.7.3-4 3.3.2-3")),
	check("topic/filters nobody may use", badFilters, on311("4.7.1-2 4.7.1-3 4.7.3-1"), on5("4.7.1-1 4.7.1-2 4.7.3-1 3.8.4-7")),
	check("topic/names nobody may use", badNames, on311("3.3.2-2 4.7.1-1 4.7.3-1"), on5("3.3.2-2 4.7.0-1 4.7.3-1")),
	check("topic/wildcards in a Will Topic", badWillTopic, on311("4.7.1-1"), on5("4.7.0-1 4.7.3-1")),
	check("topic/# and + leave $-topics out", dollar, on311("4.7.2-1"), on5("4.7.2-1")),
	check("topic/clients kept from $-topics", dollarPublish, on311("X311-4.7.2-a"), on5("X5-4.7.2-a")),
	check("topic/longest name", longestTopic, on311("4.7.3-3"), on5("4.7.3-3")),
	check("topic/case and spaces", literalTopics, on311("4.7.3-4 4.7.3-1"), on5("4.7.3-4 4.7.3-1")),
	check("topic/wildcards not offered", wildcardsOff, on311("3.8.3-2"), on5("X5-3.2.2.3.11-a")),
	check("topic/shared subscriptions not offered", sharedOff, on5("X5-3.2.2.3.13-a")),
}

func wildcards(t *T) {
	for _, c := range []struct {
		filter    string
		yes, misc []string
	}{
		{"a/#", []string{"a", "a/", "a/b", "a/b/c"}, []string{"ab", "b", "b/a"}},
		{"+/b", []string{"a/b", "/b"}, []string{"b", "a/c", "a/b/c"}},
		{"a/+/c", []string{"a/b/c", "a//c"}, []string{"a/c", "a/b/b/c"}},
		{"a/+", []string{"a/b", "a/"}, []string{"a", "a/b/"}},
		{"+/+/#", []string{"a/b", "a/b/c", "/"}, []string{"a"}},
	} {
		p := t.connect("c", connect{})
		p.subscribe(t.topic(c.filter), 0)
		for _, name := range append(c.misc, c.yes...) {
			p.send(publish{topic: t.topic(name), payload: name})
		}
		for _, name := range c.yes {
			p.take("which "+c.filter+" matches", t.topic(name), name)
		}
		p.wantIdle("nothing " + c.filter + " does not match")
	}
}

func badFilters(t *T) {
	for _, f := range []string{"", "a/#/b", "a#", "#/a", "a+", "+a/b", "a/b+/c", "##", "a/##"} {
		if f != "" {
			f = t.topic(f)
		}
		p := t.connect("c", connect{})
		p.send(subscribe{id: 1, subs: []sub{{f, 0}}})
		r, err := p.next(t.target.patience(), anything)
		refused := r == nil && err != nil ||
			r != nil && r.typ == typeDISCONNECT && r.code >= 0x80 ||
			r != nil && r.typ == typeSUBACK && len(r.codes) == 1 && r.codes[0] >= 0x80
		if !refused {
			t.failf("want filter %q refused, got %s", f, p.describe(r, err))
		}
	}
}

func badNames(t *T) {
	for _, name := range []string{"", "a/#", "a/+/b", "#", "+"} {
		if name != "" {
			name = t.topic(name)
		}
		t.offend("a close for the Topic Name "+name, publish{topic: name, payload: "x"}, 0x90, 0x81, 0x82)
	}
}

func badWillTopic(t *T) {
	for _, name := range []string{"", "a/#", "+"} {
		c := t.fill("c", connect{will: &will{topic: name, payload: "x"}})
		t.refuse("a Will Topic that is no Topic Name", c.encode(t.version), 0x90, 0x81, 0x82)
	}
}

func dollar(t *T) {
	p := t.connect("c", connect{})
	p.subscribe("#", 0)
	p.subscribe("+/broker/#", 0)
	explicit := t.connect("e", connect{})
	explicit.subscribe("$SYS/#", 0)
	seen, _ := explicit.next(t.target.patience(), func(r *reply) bool { return r.typ == typePUBLISH })
	if seen == nil {
		t.skipf("broker has no $SYS topics")
	}
	p.ping()
	for {
		r, _ := p.next(t.target.idle(), func(r *reply) bool { return r.typ == typePUBLISH })
		if r == nil {
			return
		}
		if strings.HasPrefix(r.topic, "$") {
			t.failf("want no $-topic for a wildcard, got %s", r)
		}
	}
}

// dollarPublish asks for nothing but that no other client hears.
func dollarPublish(t *T) {
	name := "$SYS/" + t.topic("t")
	ear := t.connect("ear", connect{})
	ear.send(subscribe{id: 1, subs: []sub{{name, 0}}})
	ear.next(t.target.patience(), func(r *reply) bool { return r.typ == typeSUBACK })
	pub := t.connect("pub", connect{})
	pub.send(publish{topic: name, payload: "x"})
	r, _ := ear.next(t.target.idle(), func(r *reply) bool { return r.typ == typePUBLISH })
	if r != nil {
		t.failf("want clients kept from $SYS, got %s", r)
	}
}

func longestTopic(t *T) {
	name := t.topic(strings.Repeat("x", 65535-len(t.topic(""))))
	p := t.connect("c", connect{})
	if p.maxPacket() < 2*len(name) {
		t.skipf("the broker takes no packet that holds the longest name")
	}
	p.subscribe(name, 0)
	p.send(publish{topic: name, payload: "x"})
	p.take("with all of its 65,535 bytes", name, "x")
}

func literalTopics(t *T) {
	p := t.connect("c", connect{})
	for _, f := range []string{"ACCOUNTS", "Accounts payable", "/finance", "a//b", "a/"} {
		p.subscribe(t.topic(f), 0)
	}
	for _, name := range []string{"accounts", "finance", "a/b", "a"} {
		p.send(publish{topic: t.topic(name), payload: "other"})
	}
	for _, name := range []string{"ACCOUNTS", "Accounts payable", "/finance", "a//b", "a/"} {
		p.send(publish{topic: t.topic(name), payload: "same"})
		p.take("for the very same name only", t.topic(name), "same")
	}
}

func wildcardsOff(t *T) {
	t.with(Options{NoWildcard: true})
	p := t.connect("c", connect{})
	if t.v5() {
		p.send(subscribe{id: 1, subs: []sub{{t.topic("#"), 0}}})
		p.wantClose("a close for a wildcard although none is available", 0xA2)
		return
	}
	p.send(subscribe{id: 1, subs: []sub{{t.topic("a"), 1}, {t.topic("#"), 1}, {t.topic("+"), 0}}})
	p.want("each filter with a wildcard refused", typeSUBACK, codes(1, 0x80, 0x80))
}

func sharedOff(t *T) {
	t.with(Options{NoShared: true})
	p := t.connect("c", connect{})
	p.send(subscribe{id: 1, subs: []sub{{t.shared("g", "t"), 0}}})
	p.wantClose("a close for a shared subscription although none is available", 0x9E)
}

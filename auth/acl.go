package auth

import (
	"slices"
	"strings"

	"github.com/midgemq/midge/topic"
)

// An Action is something a rule is about; a rule may be about several.
type Action uint8

const (
	Publish   Action = 1 << iota // send a message to a topic
	Receive                      // be sent a message of a topic
	Subscribe                    // subscribe to a filter
	Wildcard                     // subscribe to a filter that has wildcards

	Read      Action = Subscribe | Receive
	ReadWrite Action = Publish | Read
)

// A Subject is who wants to do something.
type Subject struct {
	User   string // "": nobody in particular
	Client string
	Groups []string // on top of those the rules know
}

// A Verdict is an answer and its reason.
type Verdict struct {
	Allowed bool
	Rule    string // as it is written
	Place   string // where that is, file:line; "": no rule said anything
}

// An ACL is a list of rules, ready to be asked. It is immutable. [LoadACL],
// [ParseACL] and [Rules.Compile] make one.
type ACL struct {
	source interface {
		lines(s *Subject) []*line // the rules for s, in the order in which they are asked
	}
	freeSubscribe bool // as Mosquitto: only what is received counts
}

// A line is a rule as it stands for one subject, or for all if no name is in
// it. Immutable.
type line struct {
	allow    bool
	everyone bool // about every topic, those that begin with $ included
	actions  Action
	filter   string
	prefix   string // of every topic it is about
	from     *origin
}

// about returns l for a filter.
func (l line) about(filter string) *line {
	l.filter, l.prefix = filter, filter
	if i := strings.IndexAny(filter, "+#"); i >= 0 {
		l.prefix = filter[:i]
		if filter[i] == '#' { // "a/#" is about "a", too
			l.prefix = strings.TrimSuffix(l.prefix, "/")
		}
	}
	return &l
}

// An origin is where a line comes from.
type origin struct{ text, place string }

// A view is what an ACL says to one subject. Immutable.
type view struct {
	list          []*line
	freeSubscribe bool
}

// view returns the rules as they stand for one subject, who is asked often.
func (a *ACL) view(s *Subject) *view {
	return &view{list: a.source.lines(s), freeSubscribe: a.freeSubscribe}
}

// Ask decides one case and says why. action is one of Publish, Receive and
// Subscribe; of a shared subscription the filter is asked about, without
// $share and group.
func (a *ACL) Ask(s Subject, action Action, topic string) Verdict {
	v := a.view(&s)
	if action == Subscribe && v.freeSubscribe {
		return Verdict{Allowed: true, Rule: "an acl_file lets everybody subscribe; what is sent is decided by topic"}
	}
	var l *line
	if action == Subscribe {
		l = v.forFilter(topic)
	} else {
		l = forTopic(v, action, topic)
	}
	if l == nil {
		return Verdict{Rule: "no rule allows it"}
	}
	return Verdict{Allowed: l.allow, Rule: l.from.text, Place: l.from.place}
}

// forTopic finds the first line about what is published or received.
func forTopic[T ~string | ~[]byte](v *view, action Action, name T) *line {
	for _, l := range v.list {
		if l.actions&action != 0 && (l.everyone || begins(name, l.prefix) && topic.Match(l.filter, name)) {
			return l
		}
	}
	return nil
}

// begins sorts out most lines at little cost.
func begins[T ~string | ~[]byte](name T, prefix string) bool {
	return len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// forFilter finds the first line about a subscription: one whose filter
// covers all that is asked for.
func (v *view) forFilter(filter string) *line {
	wild := topic.HasWildcard(filter)
	for _, l := range v.list {
		if l.actions&Subscribe == 0 && !(wild && l.actions&Wildcard != 0) {
			continue
		}
		if l.everyone || covers(l.filter, filter) {
			return l
		}
	}
	return nil
}

// denyFirst moves what denies to the front and keeps the order otherwise.
func denyFirst(list []*line) {
	slices.SortStableFunc(list, func(a, b *line) int {
		switch {
		case a.allow == b.allow:
			return 0
		case a.allow:
			return 1
		}
		return -1
	})
}

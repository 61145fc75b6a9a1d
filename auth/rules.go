package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Rules are a list of rules in the form of a program or of a configuration
// file. The first rule that is about a case decides it; what no rule is about
// is denied.
type Rules struct {
	// Groups are named lists of users, and of clients as "client:ID". A name
	// may end in * for all that begin so.
	Groups map[string][]string

	// DenyFirst asks the rules that deny before all that allow.
	DenyFirst bool

	List []Rule
}

// A Rule allows or denies some actions on some topics to some clients.
type Rule struct {
	Deny bool

	// Actions are words: publish (or write), subscribe, receive, read for the
	// last two, readwrite for all three, and wildcard for subscriptions with
	// wildcards.
	Actions []string

	// Topics are filters. %c stands for the client's identifier, %u for its
	// user name; a rule does not allow anything to a name that has / + or #
	// there. A rule is about a subscription whose filter lies in one of these
	// as a whole.
	Topics []string

	// Whom it is about: one of these. Where all are nil it is everyone; an
	// empty list that is not nil is nobody. Users and Clients may end in * for
	// all that begin so. A group may be one of Rules or one that
	// authentication found the client in.
	Users, Clients, Groups []string
	Anonymous              bool // clients without a user name

	// Place is where it is written, for Verdict and errors.
	Place string

	text string // as it is written; "": String
}

var actionWords = map[string]Action{
	"publish": Publish, "write": Publish,
	"subscribe": Subscribe, "receive": Receive, "read": Read,
	"wildcard": Wildcard, "readwrite": ReadWrite,
}

// String is the rule as a line of a file.
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString("allow ")
	if r.Deny {
		b.Reset()
		b.WriteString("deny ")
	}
	b.WriteString(strings.Join(r.Actions, ","))
	for _, t := range r.Topics {
		b.WriteString(" " + quoted(t))
	}
	before := b.Len()
	for _, list := range []struct {
		word  string
		names []string
	}{{"user", r.Users}, {"client", r.Clients}, {"group", r.Groups}} {
		if len(list.names) > 0 {
			b.WriteString(" " + list.word)
		}
		for _, n := range list.names {
			b.WriteString(" " + quoted(n))
		}
	}
	if r.Anonymous {
		b.WriteString(" anonymous")
	}
	s := b.String()
	if len(s) > before {
		s = s[:before] + " for" + s[before:]
	}
	return s
}

// ruleSet is Rules, checked.
type ruleSet struct {
	list      []compiled
	groups    map[string][]string
	denyFirst bool
}

type compiled struct {
	*Rule
	lines []*line // one for each topic
}

// Compile checks the rules. An error names every one that makes no sense.
func (r Rules) Compile() (*ACL, error) {
	set := &ruleSet{groups: r.Groups, denyFirst: r.DenyFirst}
	var errs []error
	for i := range r.List {
		rule := r.List[i]
		place := rule.Place
		if place == "" {
			place = fmt.Sprintf("rule %d", i+1)
		}
		actions, err := rule.check()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", place, err))
		}
		text := rule.text
		if text == "" {
			text = rule.String()
		}
		c := compiled{Rule: &rule}
		for _, t := range rule.Topics {
			c.lines = append(c.lines, line{allow: !rule.Deny, actions: actions, from: &origin{text, place}}.about(t))
		}
		set.list = append(set.list, c)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &ACL{source: set}, nil
}

func (r *Rule) check() (all Action, err error) {
	for _, word := range r.Actions {
		a, known := actionWords[word]
		if !known {
			return 0, fmt.Errorf("%q is none of publish, subscribe, receive, read, readwrite and wildcard", word)
		}
		all |= a
	}
	if all == 0 {
		return 0, errors.New("it says nothing of what is allowed or denied")
	}
	if len(r.Topics) == 0 {
		return 0, errors.New("a topic is missing")
	}
	for _, t := range r.Topics {
		if err := checkRuleFilter(t); err != nil {
			return 0, fmt.Errorf("%q: %w", t, err)
		}
	}
	return all, nil
}

func (set *ruleSet) lines(s *Subject) (list []*line) {
	for i := range set.list {
		c := &set.list[i]
		if !c.isAbout(s, set.groups) {
			continue
		}
		for _, l := range c.lines {
			placed, safe := l.place(s, false)
			switch {
			case placed == nil, !safe && l.allow:
				continue
			case !safe: // rather too much than too little
				all := *l
				all.everyone = true
				placed = &all
			}
			list = append(list, placed)
		}
	}
	if set.denyFirst {
		denyFirst(list)
	}
	return list
}

// isAbout reports whether the rule is about s.
func (r *Rule) isAbout(s *Subject, groups map[string][]string) bool {
	if r.Users == nil && r.Clients == nil && r.Groups == nil && !r.Anonymous {
		return true
	}
	if r.Anonymous && s.User == "" || s.User != "" && anyLike(r.Users, s.User) || anyLike(r.Clients, s.Client) {
		return true
	}
	return slices.ContainsFunc(r.Groups, func(g string) bool {
		return slices.Contains(s.Groups, g) || slices.ContainsFunc(groups[g], func(m string) bool {
			if id, isClient := strings.CutPrefix(m, "client:"); isClient {
				return like(id, s.Client)
			}
			return s.User != "" && like(m, s.User)
		})
	})
}

func anyLike(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return like(p, name) })
}

// like compares a name with one that may end in *.
func like(pattern, name string) bool {
	if start, open := strings.CutSuffix(pattern, "*"); open {
		return strings.HasPrefix(name, start)
	}
	return pattern == name
}

package auth

import (
	"strings"

	"github.com/midgemq/midge/topic"
)

// covers reports whether every topic that filter f matches is matched by
// filter by, too. In doubt it says no.
func covers(by, f string) bool {
	if f[0] == '$' && (by[0] == '#' || by[0] == '+') {
		return false // [MQTT-4.7.2-1]
	}
	if by == "+/#" { // everything has a first level
		return true
	}
	for {
		b, moreBy, byGoesOn := strings.Cut(by, "/")
		l, moreF, fGoesOn := strings.Cut(f, "/")
		switch {
		case b == "#":
			return true
		case l == "#", b != "+" && b != l:
			return false
		case !fGoesOn:
			return !byGoesOn || moreBy == "#" // "a/#" covers "a", too
		case !byGoesOn:
			return false
		}
		by, f = moreBy, moreF
	}
}

// A subject's names are put in place of these.
const (
	clientMark = "%c"
	userMark   = "%u"
)

// place puts the subject's names into a filter. ok is false if there is no
// name to put there. safe is false if a name would change what the filter is
// about: by wildcards, by further levels, or by opening a $ tree.
func place(filter string, s *Subject, levels bool) (out string, ok, safe bool) {
	user, client := strings.Contains(filter, userMark), strings.Contains(filter, clientMark)
	if !user && !client {
		return filter, true, true
	}
	if user && s.User == "" || client && s.Client == "" {
		return "", false, false
	}
	out = strings.NewReplacer(clientMark, s.Client, userMark, s.User).Replace(filter)
	special := "+#"
	if !levels {
		special = "+#/"
	}
	safe = !(user && strings.ContainsAny(s.User, special)) && !(client && strings.ContainsAny(s.Client, special)) &&
		(out[0] != '$' || filter[0] == '$')
	return out, true, safe
}

// place returns the line with the subject's names in it, nil if there are none
// to put there; a line without names is the same for all.
func (l *line) place(s *Subject, levels bool) (placed *line, safe bool) {
	filter, ok, safe := place(l.filter, s, levels)
	switch {
	case !ok:
		return nil, false
	case filter == l.filter:
		return l, safe
	}
	return l.about(filter), safe
}

// checkRuleFilter wants what a client could subscribe to, once names are in
// place; $share is none of it.
func checkRuleFilter(filter string) error {
	names := Subject{User: "u", Client: "c"}
	placed, _, _ := place(filter, &names, true)
	return topic.CheckFilter(placed)
}

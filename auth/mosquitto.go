package auth

import (
	"fmt"
	"slices"
	"strings"
)

// mosquittoRules are those of an acl_file of Mosquitto, with its meaning:
//
//   - a client that gave a user name has the section of that user and nothing
//     of the one above the first user line, which is for those without;
//   - what denies comes before what allows, within the section and within the
//     patterns, but the section as a whole comes before the patterns;
//   - patterns are for all, but one with %u not for those without a user name;
//   - everybody may subscribe to anything: reading is decided by message.
//
// It is kinder than Mosquitto to tabs and to comments that do not begin in the
// first column.
type mosquittoRules struct {
	sections map[string][]*line // by user; "" for those without
	patterns []*line
}

// The words of an acl_file. Its readers may subscribe anyway.
var mosquittoAccess = map[string]struct {
	allow   bool
	actions Action
}{
	"read":      {true, Receive},
	"write":     {true, Publish},
	"readwrite": {true, Publish | Receive},
	"deny":      {false, Publish | Receive},
}

func parseMosquitto(r *reader) (*ACL, error) {
	m := &mosquittoRules{sections: map[string][]*line{}}
	user := ""
	for r.next() {
		word, rest := cutWord(r.text)
		switch word {
		case "user":
			if user = rest; user == "" {
				r.fail("a user name is missing")
			}
		case "topic":
			if l, ok := mosquittoLine(r, rest); ok {
				m.sections[user] = append(m.sections[user], l)
			}
		case "pattern":
			if l, ok := mosquittoLine(r, rest); ok {
				m.patterns = append(m.patterns, l)
			}
		default:
			r.fail("%q is none of user, topic and pattern", word)
		}
	}
	for _, list := range m.sections {
		denyFirst(list)
	}
	denyFirst(m.patterns)
	return &ACL{source: m, freeSubscribe: true}, r.err()
}

// mosquittoLine reads what is behind topic or pattern.
func mosquittoLine(r *reader, rest string) (l *line, ok bool) {
	word, filter := cutWord(rest)
	access, known := mosquittoAccess[word]
	switch {
	case word == "":
		r.fail("a topic is missing")
		return nil, false
	case filter == "": // one word is a topic, whatever it says
		filter, access = word, mosquittoAccess["readwrite"]
	case !known:
		r.fail("%q is none of read, write, readwrite and deny", word)
		return nil, false
	}
	if err := checkRuleFilter(filter); err != nil {
		r.fail("%q: %w", filter, err)
		return nil, false
	}
	return line{allow: access.allow, actions: access.actions, from: r.origin()}.about(filter), true
}

func (m *mosquittoRules) lines(s *Subject) []*line {
	section := m.sections[s.User]
	if len(m.patterns) == 0 {
		return section
	}
	list := slices.Concat(section, make([]*line, 0, len(m.patterns)))
	for _, name := range []string{s.User, s.Client} {
		if strings.ContainsAny(name, "+#") {
			// Such a name could widen any pattern: none is to be trusted.
			why := &origin{fmt.Sprintf("the name %q has a wildcard, and there are patterns", name), m.patterns[0].from.place}
			return append(list, &line{everyone: true, actions: ReadWrite, from: why})
		}
	}
	for _, p := range m.patterns {
		if placed, safe := p.place(s, true); placed != nil && (safe || !p.allow) {
			list = append(list, placed)
		}
	}
	return list
}

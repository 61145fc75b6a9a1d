package auth

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// LoadACL reads a file of rules, see [ParseACL].
func LoadACL(path string) (*ACL, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("auth: acl: %w", err)
	}
	defer f.Close()
	return ParseACL(path, f)
}

// ParseACL reads rules: those of an acl_file of Mosquitto, with its meaning,
// or those of [Rules] written line by line:
//
//	group crew alice bob client esp-*
//	order deny-first
//	deny subscribe,wildcard # for group crew anonymous
//	allow read status/# "with space/#"
//	allow publish sensors/%c/# for user alice client esp-*
//
// The first word of the first line that has one says which it is. name is what
// errors and verdicts call the file. An error names each line that is wrong.
func ParseACL(name string, in io.Reader) (*ACL, error) {
	r := newReader(name, in)
	if !r.next() {
		return &ACL{source: &ruleSet{}}, r.err() // denies everything
	}
	r.again = true
	var a *ACL
	var err error
	switch word, _ := cutWord(r.text); word {
	case "user", "topic", "pattern":
		a, err = parseMosquitto(r)
	default:
		a, err = parseRules(r)
	}
	if err != nil {
		return nil, fmt.Errorf("auth: acl: %w", err)
	}
	return a, nil
}

func parseRules(r *reader) (*ACL, error) {
	rules := Rules{Groups: map[string][]string{}}
	for r.next() {
		words, err := fields(r.text)
		if err != nil {
			r.fail("%w", err)
			continue
		}
		switch words[0].text {
		case "group":
			parseGroup(r, &rules, words[1:])
		case "order":
			if len(words) != 2 || words[1].text != "deny-first" && words[1].text != "as-written" {
				r.fail("want order deny-first or order as-written")
				continue
			}
			rules.DenyFirst = words[1].text == "deny-first"
		case "allow", "deny":
			rules.List = append(rules.List, parseRule(r, words))
		default:
			r.fail("%q is none of allow, deny, group and order (or of user, topic and pattern, which do not mix with them)", words[0].text)
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return rules.Compile()
}

func parseGroup(r *reader, rules *Rules, words []token) {
	if len(words) < 2 {
		r.fail("want group NAME and its members")
		return
	}
	members := []string{}
	users, clients, groups, anonymous := parseWho(r, words[1:])
	if groups != nil || anonymous {
		r.fail("the members of a group are users and clients")
	}
	members = append(members, users...)
	for _, c := range clients {
		members = append(members, "client:"+c)
	}
	rules.Groups[words[0].text] = append(rules.Groups[words[0].text], members...)
}

func parseRule(r *reader, words []token) Rule {
	rule := Rule{Deny: words[0].text == "deny", Place: r.origin().place, text: r.text}
	if len(words) > 1 {
		rule.Actions = strings.Split(words[1].text, ",")
		words = words[2:]
	} else {
		words = nil
	}
	for i, w := range words {
		if w.is("for") {
			if i == len(words)-1 {
				r.fail("for whom?")
			}
			rule.Users, rule.Clients, rule.Groups, rule.Anonymous = parseWho(r, words[i+1:])
			break
		}
		rule.Topics = append(rule.Topics, w.text)
	}
	return rule
}

// parseWho reads names behind words that say of what; without one, of users.
func parseWho(r *reader, words []token) (users, clients, groups []string, anonymous bool) {
	list := &users
	for _, w := range words {
		switch {
		case w.is("user"):
			list = &users
		case w.is("client"):
			list = &clients
		case w.is("group"):
			list = &groups
		case w.is("anonymous"):
			anonymous = true
		default:
			*list = append(*list, w.text)
		}
	}
	if users == nil && clients == nil && groups == nil && !anonymous && len(words) > 0 {
		r.fail("a name is missing")
	}
	return users, clients, groups, anonymous
}

// A token is a word of a line; one in quotes is never a keyword.
type token struct {
	text   string
	quoted bool
}

func (t token) is(word string) bool { return !t.quoted && t.text == word }

// fields cuts a line into words. One with a space in it is in "quotes".
func fields(line string) (words []token, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			word, rest := cutWord(line)
			words, line = append(words, token{text: word}), rest
			continue
		}
		q, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("a quote is not closed")
		}
		word, err := strconv.Unquote(q)
		if err != nil {
			return nil, err
		}
		words, line = append(words, token{word, true}), line[len(q):]
	}
	return words, nil
}

// quoted is a word as fields reads it.
func quoted(word string) string {
	switch word {
	case "", "for", "user", "client", "group", "anonymous":
		return strconv.Quote(word)
	}
	if word[0] == '"' || strings.ContainsFunc(word, unicode.IsSpace) {
		return strconv.Quote(word)
	}
	return word
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/topic"
)

const aclText = `
Says what a client may do under a file of rules, and which line says so: a
Mosquitto acl_file, or midge's own form. No broker is asked.

  midge acl test [options] FILE ACTION TOPIC...
  midge acl check FILE

ACTION is publish, receive or subscribe, or all of them: any. test exits with 0
if everything is allowed, with 1 if something is not. check reads the file.

Examples:
  midge acl test -u alice acl publish sensors/attic
  midge acl test -u alice -i esp-1 -g crew acl any sensors/attic '$SYS/#'
  midge acl check /etc/mosquitto/acl`

func aclCmd(_ context.Context, args []string, out, errs io.Writer) error {
	var s auth.Subject
	fs := newFlags("acl", out, errs, "midge acl test|check [options] FILE ...", aclText)
	fs.StringVar(&s.User, "u", "", "`user` name (default: a client without one)")
	fs.StringVar(&s.Client, "i", "", "client `identifier`")
	fs.Func("g", "`group` the client was found in, beside those of the file (repeatable)", func(g string) error {
		s.Groups = append(s.Groups, g)
		return nil
	})
	verb := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	want := func() int {
		switch {
		case verb == "check":
			return 1
		case verb == "test" && fs.NArg() >= 3:
			return fs.NArg()
		}
		return 3
	}
	if verb != "" && verb != "test" && verb != "check" {
		return usage(fs, errors.New("midge acl test or midge acl check?"))
	}
	if err := parseCounted(fs, args, want); err != nil {
		return err
	}
	if verb == "" {
		return usage(fs, errors.New("midge acl test or midge acl check?"))
	}
	acl, err := auth.LoadACL(fs.Arg(0))
	if err != nil {
		return err
	}
	if verb == "check" {
		fmt.Fprintf(out, "%s: every line makes sense\n", fs.Arg(0))
		return nil
	}
	return aclTest(fs, acl, &s, out)
}

var aclActions = []struct {
	word   string
	action auth.Action
}{{"publish", auth.Publish}, {"receive", auth.Receive}, {"subscribe", auth.Subscribe}}

// aclTest prints a line for each question, and exits with 1 after a no.
func aclTest(fs *flagSet, acl *auth.ACL, s *auth.Subject, out io.Writer) error {
	denied, asked, wide := false, false, 0
	for _, t := range fs.Args()[2:] {
		wide = max(wide, len(t))
	}
	for _, t := range fs.Args()[2:] {
		for _, a := range aclActions {
			if fs.Arg(1) != a.word && fs.Arg(1) != "any" {
				continue
			}
			asked = true
			_, rest, shared := topic.Shared(t)
			if !shared || a.action != auth.Subscribe {
				rest = t
			}
			if err := checkAsked(a.action, rest); err != nil {
				if fs.Arg(1) == "any" {
					continue // nothing can be published to a filter
				}
				return usage(fs, fmt.Errorf("%s %q: %w", a.word, t, err))
			}
			v := acl.Ask(*s, a.action, rest)
			denied = denied || !v.Allowed
			fmt.Fprintf(out, "%-5s  %-9s  %-*s  %s\n", map[bool]string{true: "allow", false: "deny"}[v.Allowed], a.word, wide, t, because(v))
		}
	}
	switch {
	case !asked:
		return usage(fs, fmt.Errorf("%q is none of publish, receive, subscribe and any", fs.Arg(1)))
	case denied:
		return &exitError{code: exitFailed}
	}
	return nil
}

func checkAsked(a auth.Action, t string) error {
	if a == auth.Subscribe {
		return topic.CheckFilter(t)
	}
	return topic.CheckName(t)
}

// because is the reason of a verdict, as file:line: rule.
func because(v auth.Verdict) string {
	if v.Place == "" {
		return v.Rule
	}
	return v.Place + ": " + v.Rule
}

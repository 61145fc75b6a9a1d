package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/midgemq/midge/internal/config"
)

// checkConfig says what is wrong with a configuration, or what would listen
// where. It reads the files that are named; it binds and creates nothing.
func checkConfig(f *serveFlags, out io.Writer) error {
	f.wsPath = "/mqtt"
	c, err := f.config()
	if err == nil {
		err = f.complete(c, &service{})
	}
	if err != nil {
		return err
	}
	if f.mosquitto != "" {
		r, err := f.fromMosquitto()
		if err != nil {
			return err
		}
		for _, n := range r.Notes {
			fmt.Fprintln(out, n)
		}
	}
	rules, _, err := allRules(c, nil)
	_, bad := adminRulesFor(&c.Admin)
	_, worse := telemetryFor(c)
	if err := errors.Join(err, bad, worse); err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LISTENER\tWHO COMES IN\tWHAT THEY MAY DO\tTLS")
	for i := range c.Listeners {
		l := &c.Listeners[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", l.URL, whoComesIn(c, l), mayDo(c, l), aboutTLS(rules[i].tls, l))
	}
	t.Flush()
	data := "nothing outlives the process; [data] dir changes that"
	if c.Data.Dir != "" {
		data = fmt.Sprintf("%s, durability %s", c.Data.Dir, c.Data.Durability)
	}
	fmt.Fprintf(out, "\ndata  %s\nlog   %s, to %s\nadmin %s\n", data, c.Log.Level, c.Log.To, aboutAdmin(&c.Admin))
	for i := range c.Listeners {
		if l := &c.Listeners[i]; c.Locked(l) {
			fmt.Fprintf(out, "\nnobody can come in at %s: give it users (password_file), certificates\n(user_from_cert) or allow_anonymous\n", l.URL)
		}
	}
	return nil
}

func aboutAdmin(a *config.Admin) string {
	switch {
	case a.URL == "":
		return "off; [admin] url changes that"
	case a.TokenFile != "":
		return a.URL + ", with the token of " + a.TokenFile
	}
	return a.URL + ", for this machine alone"
}

func whoComesIn(c *config.Config, l *config.Listener) string {
	var who []string
	if l.UserFromCert != "" {
		who = append(who, "certificates ("+l.UserFromCert+")")
	}
	if file := either(l.PasswordFile, c.Auth.PasswordFile); file != "" {
		who = append(who, "users of "+file)
	}
	if len(c.JWT.Algorithms) > 0 {
		who = append(who, "tokens ("+strings.Join(c.JWT.Algorithms, " ")+")")
	}
	if u, err := url.Parse(c.HTTP.URL); err == nil && c.HTTP.URL != "" {
		u.RawQuery = "" // where tokens like to be, as in the user's place
		who = append(who, "whom "+u.Redacted()+" knows")
	}
	if c.Anonymous(l) {
		who = append(who, "anyone")
	}
	if len(who) == 0 {
		return "nobody"
	}
	return strings.Join(who, ", ")
}

func mayDo(c *config.Config, l *config.Listener) string {
	if file := either(l.ACLFile, c.Auth.ACLFile); file != "" {
		return "what " + file + " says"
	}
	return "everything"
}

func aboutTLS(t *tls.Config, l *config.Listener) string {
	if t == nil {
		return "none"
	}
	text := tls.VersionName(t.MinVersion) + " and up"
	if leaf := t.Certificates[0].Leaf; leaf != nil {
		text += ", certificate until " + leaf.NotAfter.Format("2006-01-02")
	}
	if l.ClientCA != "" {
		text += ", client certificates " + map[tls.ClientAuthType]string{
			tls.VerifyClientCertIfGiven: "optional", tls.RequireAndVerifyClientCert: "required",
		}[t.ClientAuth]
	}
	return text
}

package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// draw prints what was found for people.
func (c *checked) draw(out io.Writer) error {
	var b strings.Builder
	use := "not in use"
	if c.InUse {
		use = "in use; this is one moment of it"
	}
	state := "all of it is readable"
	if c.Damaged {
		state = "DAMAGED"
	}
	fmt.Fprintf(&b, "%s: %s; %s\n\n", c.Folder, use, state)
	c.drawTotals(&b)
	c.drawDamage(&b)
	c.drawSessions(&b)
	_, err := io.WriteString(out, b.String())
	return err
}

func (c *checked) drawTotals(b *strings.Builder) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(b, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	t := &c.Total
	row("log", "%s in %s, read in %v", humanBytes(c.Bytes), count(c.Files, "file"), c.took.Round(time.Millisecond))
	row("", "%s counts, the rest is won back in time", strings.TrimSpace(progressLine("", c.Live, c.Bytes)))
	if c.Torn > 0 && !c.InUse {
		row("", "%s at its end are a write that was cut short, promised to nobody", humanBytes(c.Torn))
	}
	row("sessions", "%s: %s connected, %s away", group(t.Sessions), group(t.Connected), group(t.Sessions-t.Connected))
	row("subscriptions", "%s", group(t.Subscriptions))
	row("queued", "%s, about %s", count(t.Queued, "message"), humanBytes(int64(t.QueuedBytes)))
	row("in flight", "%s; %s of QoS 2 held", count(t.Inflight, "message"), count(t.Held, "identifier"))
	row("retained", "%s, %s", count(c.Retained.Messages, "message"), humanBytes(c.Retained.Bytes))
	row("stored", "%s, each once however many sessions wait for it", count(c.Messages, "message"))
	row("wills", "%s", group(t.Wills))
}

func (c *checked) drawDamage(b *strings.Builder) {
	if c.Damaged {
		fmt.Fprint(b, "\nWhat could not be read although it had been safe on the disk:\n\n")
		for _, d := range c.Damage {
			fmt.Fprintf(b, "  %s  bytes %s to %s: %s\n", d.File, group(int(d.From)), group(int(d.To)), d.Why)
		}
		for _, e := range c.Lost.Errors {
			fmt.Fprintf(b, "  %s\n", e)
		}
		fmt.Fprintf(b, "  lost for certain: %s queued or retained, %s\n", count(c.Lost.Messages, "message"), count(c.Lost.Sessions, "session"))
		fmt.Fprint(b, "\nA broker starts with all the rest and sets damaged files aside, in a folder\nbelow. Copy the folder first if you want to look at it as it is.\n")
	}
	if len(c.Aside) > 0 {
		fmt.Fprintf(b, "\nDamaged earlier, and set aside: %s\n", strings.Join(c.Aside, " "))
	}
}

func (c *checked) drawSessions(b *strings.Builder) {
	if len(c.Sessions) == 0 {
		return
	}
	fmt.Fprintln(b)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  client\twhere\texpires\tfilters\tqueued\t\tin flight\twill")
	for i := range c.Sessions {
		s := &c.Sessions[i]
		where, expires := "connected", "-"
		if s.Away != nil {
			where, expires = "away "+brief(c.now.Sub(*s.Away)), "never"
		}
		if s.Expires != nil {
			expires = "in " + brief(s.Expires.Sub(c.now))
			if !s.Expires.After(c.now) {
				expires = "due"
			}
		}
		queued := fmt.Sprintf("%s (%s)", group(s.Queued), humanBytes(int64(s.QueuedBytes)))
		bar := strings.Repeat("#", int(10*int64(s.QueuedBytes)/max(int64(c.Sessions[0].QueuedBytes), 1)))
		fmt.Fprintf(w, "  %q\t%s\t%s\t%d\t%s\t%s\t%d\t%s\n", s.Client, where, expires, len(s.Subscriptions), queued, bar, s.Inflight, s.Will)
	}
	w.Flush()
	if n := c.Total.Sessions - len(c.Sessions); n > 0 {
		fmt.Fprintf(b, "  and %s more; --sessions -1 lists all\n", group(n))
	}
}

// brief is d in its two largest units.
func brief(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd %dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Minute:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.Round(time.Second).String()
}

// count is n of something.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return group(n) + " " + what
}

// group is n with a comma every three digits.
func group(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

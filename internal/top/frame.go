package top

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/midgemq/midge/admin"
)

// Styles, as SGR has them. A line is drawn without, and styled where it is
// known to stand.
const (
	bold   = "1"
	dim    = "2"
	turned = "7"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
	strong = "1;36"
)

func (m *Model) style(code, s string) string {
	if !m.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// A piece is a text of a style, "" for none.
type piece struct{ code, text string }

// line puts pieces behind one another in w columns.
func (m *Model) line(w int, all ...piece) string {
	var b strings.Builder
	for _, p := range all {
		n := width(p.text)
		if n > w {
			p.text, n = fit(p.text, w), w
		}
		if w -= n; p.code == "" {
			b.WriteString(p.text)
		} else {
			b.WriteString(m.style(p.code, p.text))
		}
		if w == 0 {
			break
		}
	}
	return b.String()
}

// least is the smallest terminal that something can be shown on.
const leastWidth, leastHeight = 40, 10

// Frame draws the view in w columns and h lines.
func (m *Model) Frame(w, h int) []string {
	if w < leastWidth || h < leastHeight {
		return exactly(h, []string{m.line(w, piece{"", fmt.Sprintf("midge top wants %d x %d", leastWidth, leastHeight)})})
	}
	if m.mode == helping {
		return exactly(h, m.help(w))
	}
	lines := m.head(w)
	slow := m.slowLines(w, h)
	m.rows = max(1, h-len(lines)-len(slow)-3)
	if m.list != nil {
		m.follow()
	}
	lines = append(lines, m.tableHead(w)...)
	lines = append(lines, m.table(w)...)
	for len(lines) < h-len(slow)-1 {
		lines = append(lines, "")
	}
	lines = append(lines, slow...)
	return append(exactly(h-1, lines), m.foot(w))
}

// exactly makes h lines.
func exactly(h int, lines []string) []string {
	for len(lines) < h {
		lines = append(lines, "")
	}
	return lines[:h]
}

// head is everything that is about the broker as a whole.
func (m *Model) head(w int) []string {
	clock := m.now.Format("15:04:05")
	if m.counts == nil {
		state := piece{yellow, "waiting for " + m.Where}
		if m.err != nil {
			state = piece{red, m.err.Error()}
		}
		return []string{m.line(w, piece{bold, "midge top  "}, state), ""}
	}
	b, p := &m.counts.Broker, &m.counts.Process
	state := piece{green, "ready"}
	switch {
	case m.err != nil:
		state = piece{red, fmt.Sprintf("no answer for %s: %v", span(m.now.Sub(m.failing)), m.err)}
	case m.paused:
		state = piece{turned, " paused "}
	case !m.counts.Ready:
		state = piece{red, "NOT READY"}
	}
	title := []piece{
		{strong, "midge " + b.Version}, {"", "  " + m.Where + "  up " + span(m.counts.At.Sub(b.Started)) + "  "}, state,
	}
	used := 0
	for _, p := range title {
		used += width(p.text)
	}
	if room := w - used; room > len(clock) {
		title = append(title, piece{dim, right(clock, room)})
	}
	lines := []string{m.line(w, title...)}
	lines = append(lines, m.line(w, piece{dim, "clients   "}, piece{bold, number(float64(b.Clients))}, piece{"", fmt.Sprintf(
		"  most %s  away %s    5.0 %s  3.1.1 %s  3.1 %s    subscriptions %s", number(float64(b.MostClients)), number(float64(b.Away)),
		number(float64(b.ClientsV5)), number(float64(b.ClientsV311)), number(float64(b.ClientsV31)), number(float64(b.Subscriptions)))}))
	lines = append(
		lines,
		m.rates(w, "messages", m.in, m.out, number), m.rates(w, "bytes", m.inBytes, m.outBytes, size),
		m.memory(w, p),
		m.line(w, piece{dim, "queues    "}, piece{"", fmt.Sprintf("%s waiting, %s  in flight %s    retained %s, %s", number(float64(b.Queued)), size(float64(b.QueuedBytes)),
			number(float64(b.Inflight)), number(float64(b.Retained)), size(float64(b.RetainedBytes)))}),
		m.troubles(w), "",
	)
	return lines
}

// rates is a line with two sparklines.
func (m *Model) rates(w int, name string, in, out history, show func(float64) string) string {
	const figure = 12
	n := max(0, min((w-10-2*(figure+6))/2, 60))
	half := func(way string, h history) []piece {
		return []piece{{"", way}, {bold, right(show(h.last())+"/s", figure)}, {"", " "}, {cyan, spark(h, n, m.ASCII)}}
	}
	all := append([]piece{{dim, fit(name, 10)}}, half("in  ", in)...)
	return m.line(w, append(append(all, piece{"", "  "}), half("out ", out)...)...)
}

func (m *Model) memory(w int, p *admin.Process) string {
	all := []piece{{dim, "memory    "}, {bold, size(float64(cmp.Or(p.Resident, p.Sys)))}, {"", "  heap " + size(float64(p.Heap))}}
	if p.MemoryLimit > 0 {
		part := float64(p.Sys) / float64(p.MemoryLimit)
		all = append(all, piece{"", " of " + size(float64(p.MemoryLimit)) + " "}, piece{level(part), bar(part, 10, m.ASCII)})
	}
	all = append(all, piece{"", "    cpu "}, piece{bold, fmt.Sprintf("%.0f %%", m.cpu())})
	if p.MaxFiles > 0 {
		part := float64(p.Files) / float64(p.MaxFiles)
		all = append(all, piece{"", "    files " + number(float64(p.Files)) + " of " + number(float64(p.MaxFiles)) + " "}, piece{level(part), bar(part, 10, m.ASCII)})
	}
	return m.line(w, all...)
}

// level is the colour of a part of a whole.
func level(part float64) string {
	switch {
	case part > 0.9:
		return red
	case part > 0.7:
		return yellow
	}
	return green
}

// troubles are what should not be: since the start, and what it is now a second.
func (m *Model) troubles(w int) string {
	all := []piece{{dim, "troubles  "}}
	add := func(name string, of func(*admin.Counts) uint64) {
		total, rate := of(m.counts), m.rate(of)
		text := fmt.Sprintf("%s %s", name, number(float64(total)))
		code := ""
		switch {
		case rate > 0:
			text, code = text+" (+"+number(rate)+"/s)", red
		case total == 0:
			code = dim
		}
		all = append(all, piece{code, text}, piece{"", "  "})
	}
	add("dropped", func(c *admin.Counts) uint64 { d := c.Broker.Dropped; return d.Slow + d.Queue + d.Here + d.Lost })
	add("stalled", func(c *admin.Counts) uint64 { return c.Broker.StalledClients })
	add("refused", func(c *admin.Counts) uint64 {
		return sumOf(c.Broker.Refused)
	})
	add("denied", func(c *admin.Counts) uint64 { return sumOf(c.Broker.Denied) })
	add("limited", func(c *admin.Counts) uint64 { return sumOf(c.Broker.Limited) })
	if m.counts.Shield != nil {
		add("turned away", func(c *admin.Counts) uint64 {
			if c.Shield == nil {
				return 0
			}
			return c.Shield.Banned + c.Shield.PerAddress + c.Shield.PerUser + c.Shield.HalfOpen + c.Shield.Rate
		})
		if n := m.counts.Shield.Bans; n > 0 {
			all = append(all, piece{yellow, "bans " + number(float64(n))})
		}
	}
	if m.counts.Broker.StoreStuck {
		all = append(all, piece{red, "THE STORE TAKES NOTHING"})
	}
	return m.line(w, all...)
}

// foot is what keys do, or what is asked.
func (m *Model) foot(w int) string {
	switch {
	case m.mode == finding:
		return m.line(w, piece{bold, "find: "}, piece{"", printable(m.typed)}, piece{turned, " "}, piece{dim, "  enter finds it in names, users and addresses; esc leaves"})
	case m.mode == asking:
		return m.line(w, piece{red, "disconnect " + printable(m.victim) + "? "}, piece{bold, "y"}, piece{dim, " does it, any other key does not"})
	case m.says != "" && m.now.Before(m.saysTill):
		return m.line(w, piece{yellow, m.says})
	}
	var all []piece
	for _, k := range []struct{ key, text string }{
		{"m", "messages"},
		{"b", "bytes"},
		{"w", "waiting"},
		{"c", "name"},
		{"/", "find"},
		{"k", "kick"},
		{"p", "pause"},
		{"?", "help"},
		{"q", "quit"},
	} {
		all = append(all, piece{bold, k.key}, piece{dim, " " + k.text + "  "})
	}
	return m.line(w, all...)
}

func (m *Model) help(w int) []string {
	lines := []string{m.line(w, piece{strong, "midge top"}, piece{"", "  any key goes back"}), ""}
	for _, l := range []string{
		"m b w c    sort clients by messages, bytes, what waits for them, name",
		"/          show those with a text in their name, user or address; esc: all",
		"up down    choose a client; so do page up, page down, home and end",
		"k          disconnect it, after a question",
		"p          hold the picture; again to go on",
		"q ctrl-c   quit",
		"",
		"messages   PUBLISH packets a second; the sparkline's highest is its top",
		"waiting    messages of QoS 1 and 2 that are not sent yet, and bytes the",
		"           client's socket has no room for",
		"stalled    clients cut off for taking nothing in write_timeout",
		"troubles   since the start, and what it is a second now, in red",
	} {
		lines = append(lines, m.line(w, piece{"", l}))
	}
	return lines
}

// Still is a frame without colours and for no terminal: as many lines as there
// are clients, limit at most.
func (m *Model) Still(w, limit int) []string {
	color := m.Color
	m.Color = false
	defer func() { m.Color = color }()
	lines := m.head(w)
	m.rows, m.top = limit, 0
	lines = append(lines, m.tableHead(w)...)
	lines = append(lines, m.table(w)...)
	if slow := m.slowLines(w, 100); len(slow) > 0 {
		lines = append(append(lines, ""), slow...)
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// age is how long a connection has been there.
func (m *Model) age(s *admin.Session) string {
	if s.Since.IsZero() {
		return "-"
	}
	return span(max(m.list.At.Sub(s.Since), 0*time.Second))
}

package top

import (
	"fmt"
	"reflect"

	"github.com/midgemq/midge/admin"
)

// A column of the table of clients. Those that a narrow terminal has no room
// for are left out, the last ones of this list first.
type column struct {
	title string
	width int
	right bool
	text  func(*Model, *admin.Session) string
	hot   string // the order it is what is looked at in
}

var tableColumns = []column{
	{"in/s", 8, true, func(_ *Model, s *admin.Session) string {
		return rateOf(s, func(r *admin.Rates) float64 { return r.MessagesIn }, number)
	}, "messages"},
	{"out/s", 8, true, func(_ *Model, s *admin.Session) string {
		return rateOf(s, func(r *admin.Rates) float64 { return r.MessagesOut }, number)
	}, "messages"},
	{"bytes/s", 10, true, func(_ *Model, s *admin.Session) string {
		return rateOf(s, func(r *admin.Rates) float64 { return r.BytesIn + r.BytesOut }, size)
	}, "bytes"},
	{"waiting", 10, true, func(_ *Model, s *admin.Session) string {
		if s.QueuedBytes == 0 {
			return "-"
		}
		return size(float64(s.QueuedBytes))
	}, "queue"},
	{"for", 8, true, (*Model).age, ""},
	{"address", 21, false, func(_ *Model, s *admin.Session) string { return s.Address }, ""},
	{"user", 12, false, func(_ *Model, s *admin.Session) string { return printable(s.User) }, ""},
	{"mqtt", 5, false, func(_ *Model, s *admin.Session) string { return s.Version }, ""},
	{"filters", 8, true, func(_ *Model, s *admin.Session) string { return number(float64(s.Subscriptions)) }, ""},
	{"dropped", 9, true, func(_ *Model, s *admin.Session) string { return dash(float64(s.Dropped)) }, ""},
}

func rateOf(s *admin.Session, of func(*admin.Rates) float64, show func(float64) string) string {
	if s.Rates == nil || of(s.Rates) == 0 {
		return "-"
	}
	return show(of(s.Rates))
}

func dash(v float64) string {
	if v == 0 {
		return "-"
	}
	return number(v)
}

const leastName = 16 // columns of a client's name

// columnsIn are those that w has room for, and what is left for the name.
func columnsIn(w int) (shown []column, name int) {
	name = w - 2
	for _, c := range tableColumns {
		if name-c.width-1 < leastName {
			break
		}
		name -= c.width + 1
		shown = append(shown, c)
	}
	return shown, min(name, 48)
}

func (c *column) cell(text string) string {
	if c.right {
		return right(text, c.width)
	}
	return fit(text, c.width)
}

// tableHead says what the table is of.
func (m *Model) tableHead(w int) []string {
	title := "by " + m.sort
	for _, s := range sorts {
		if s.order == m.sort {
			title = "by " + s.name
		}
	}
	if m.find != "" {
		title += fmt.Sprintf(", with %q", m.find)
	}
	if m.list != nil {
		title += fmt.Sprintf("  (%s)", number(float64(m.list.Found)))
	}
	shown, name := columnsIn(w)
	head := []piece{{dim, "  " + fit("client", name)}}
	for _, c := range shown {
		code := dim
		if c.hot == m.sort {
			code = bold
		}
		head = append(head, piece{"", " "}, piece{code, c.cell(c.title)})
	}
	return []string{m.line(w, piece{strong, "CLIENTS "}, piece{"", title}), m.line(w, head...)}
}

// table is the rows that are on the screen.
func (m *Model) table(w int) (lines []string) {
	switch {
	case m.list == nil && m.err == nil:
		return []string{m.line(w, piece{dim, "  a moment: what passes is being measured"})}
	case m.list == nil:
		return nil
	case len(m.list.Sessions) == 0:
		return []string{m.line(w, piece{dim, "  there are none"})}
	}
	shown, name := columnsIn(w)
	at := m.cursor()
	for i := m.top; i < min(m.top+m.rows, len(m.list.Sessions)); i++ {
		s := &m.list.Sessions[i]
		mark, code := "  ", ""
		if i == at {
			mark, code = "> ", bold
		}
		row := []piece{{code, mark + fit(printable(s.Client), name)}}
		for _, c := range shown {
			row = append(row, piece{"", " "}, piece{c.color(s), c.cell(c.text(m, s))})
		}
		lines = append(lines, m.line(w, row...))
	}
	return lines
}

// color marks what is not as it should be.
func (c *column) color(s *admin.Session) string {
	switch {
	case c.title == "waiting" && s.Stalled > 0, c.title == "dropped" && s.Dropped > 0:
		return red
	case c.title == "waiting" && s.QueuedBytes > 0:
		return yellow
	}
	return ""
}

// slowLines are those who do not keep up, in a third of the screen at most.
func (m *Model) slowLines(w, h int) (lines []string) {
	if m.slow == nil || len(m.slow.Sessions) == 0 {
		return nil
	}
	room := max(1, h/4-1)
	lines = []string{m.line(w, piece{strong, "SLOW "}, piece{"", fmt.Sprintf("(%s)", number(float64(m.slow.Found)))})}
	for i := range min(room, len(m.slow.Sessions)) {
		s := &m.slow.Sessions[i]
		state, code := "connected", ""
		switch {
		case s.Stalled > 0:
			state, code = fmt.Sprintf("stalled for %.0fs", s.Stalled), red
		case !s.Connected:
			state, code = "away", dim
		}
		name := min(max(leastName, w-66), 48)
		lines = append(lines, m.line(w, piece{"", "  " + fit(printable(s.Client), name) + " "}, piece{code, fit(state, 18)},
			piece{"", fmt.Sprintf(" %8s waiting, %s", number(float64(s.Queued)), size(float64(s.QueuedBytes)))},
			piece{dim, fmt.Sprintf("  dropped %s", number(float64(s.Dropped)))}))
	}
	return lines
}

// sumOf adds the counters of a struct of them.
func sumOf(v any) (n uint64) {
	r := reflect.ValueOf(v)
	for i := range r.NumField() {
		n += r.Field(i).Uint()
	}
	return n
}

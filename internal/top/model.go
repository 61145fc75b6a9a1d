// Package top is what midge top shows, without a terminal: samples and keys go
// in, lines come out. It has no clock; time comes with the samples.
package top

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/midgemq/midge/admin"
)

// A Sample is what one look at a broker found. What is nil stays as it was.
type Sample struct {
	At     time.Time
	Counts *admin.Counts
	List   *admin.List // as Query asked for it
	Slow   *admin.List
	Err    error // why there is no more
}

// soonest is how far apart two counts are at least for a rate to say something.
const soonest = 100 * time.Millisecond

// keepRates is how many a sparkline has at most.
const keepRates = 240

// A Model is the state of the view. One goroutine uses it.
type Model struct {
	Where string // what is looked at
	ASCII bool   // draw with nothing else
	Color bool

	now      time.Time
	counts   *admin.Counts
	before   *admin.Counts // the ones before
	list     *admin.List
	slow     *admin.List
	err      error
	failing  time.Time // since when there are none
	in, out  history
	inBytes  history
	outBytes history

	sort     string
	find     string
	chosen   string // identifier of the client the cursor is on
	top      int    // the first row shown
	mode     mode
	typed    string // in mode finding
	victim   string // in mode asking
	says     string // what came of the last action
	saysTill time.Time
	paused   bool
	rows     int // of clients, at the last Frame
}

type mode uint8

const (
	watching mode = iota
	finding       // a text is typed
	asking        // whether to disconnect victim
	helping
)

// A history is rates, the last one last.
type history []float64

func (h *history) add(v float64) {
	if *h = append(*h, v); len(*h) > keepRates {
		*h = slices.Delete(*h, 0, len(*h)-keepRates)
	}
}

func (h history) last() float64 {
	if len(h) == 0 {
		return 0
	}
	return h[len(h)-1]
}

// An Action is what a key asks of whoever runs the view.
type Action struct {
	Quit bool
	Ask  bool   // Query has changed
	Kick string // disconnect this client
}

// NewModel makes the view of a broker at where, sorted by messages.
func NewModel(where string) *Model { return &Model{Where: where, sort: "messages", rows: 10} }

// Query is what List has to be asked by.
func (m *Model) Query() admin.Query {
	return admin.Query{Find: m.find, Sort: m.sort, Limit: max(m.top+m.rows, 50), Rates: true}
}

// Feed takes a sample.
func (m *Model) Feed(s Sample) {
	m.now = s.At
	if s.Err != nil {
		if m.err == nil {
			m.failing = s.At
		}
		m.err = s.Err
		return
	}
	m.err = nil
	if m.paused {
		return
	}
	if s.Counts != nil {
		m.count(s.Counts)
	}
	if s.List != nil {
		m.list = s.List
		m.follow()
	}
	if s.Slow != nil {
		m.slow = s.Slow
	}
}

// count takes counters, and what passed since the ones before. A broker that
// has been restarted begins anew.
func (m *Model) count(c *admin.Counts) {
	if m.counts != nil && c.At.Sub(m.counts.At) < soonest {
		return
	}
	m.before, m.counts = m.counts, c
	if m.before == nil || !m.before.Broker.Started.Equal(c.Broker.Started) {
		m.before = nil
		return
	}
	m.in.add(m.rate(func(c *admin.Counts) uint64 { return c.Broker.In.Messages }))
	m.out.add(m.rate(func(c *admin.Counts) uint64 { return c.Broker.Out.Messages }))
	m.inBytes.add(m.rate(func(c *admin.Counts) uint64 { return c.Broker.In.Bytes }))
	m.outBytes.add(m.rate(func(c *admin.Counts) uint64 { return c.Broker.Out.Bytes }))
}

// rate is how much of a counter passed a second between the last two samples.
func (m *Model) rate(of func(*admin.Counts) uint64) float64 {
	if m.before == nil || of(m.counts) < of(m.before) {
		return 0
	}
	span := m.counts.At.Sub(m.before.At).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(of(m.counts)-of(m.before)) / span
}

// cpu is how much of one processor the process had, in percent.
func (m *Model) cpu() float64 {
	if m.before == nil {
		return 0
	}
	span := m.counts.At.Sub(m.before.At).Seconds()
	if span <= 0 {
		return 0
	}
	return max(0, 100*(m.counts.Process.CPU-m.before.Process.CPU)/span)
}

// cursor is the row of the list the cursor is on.
func (m *Model) cursor() int {
	if m.list == nil {
		return 0
	}
	return max(0, slices.IndexFunc(m.list.Sessions, func(s admin.Session) bool { return s.Client == m.chosen }))
}

// move puts the cursor n rows further.
func (m *Model) move(n int) {
	if m.list == nil || len(m.list.Sessions) == 0 {
		return
	}
	at := min(max(m.cursor()+n, 0), len(m.list.Sessions)-1)
	m.chosen = m.list.Sessions[at].Client
	m.follow()
}

// follow keeps the cursor on the screen. One that has not been moved stays at
// the top, whoever is there.
func (m *Model) follow() {
	at := m.cursor()
	if at == 0 {
		m.chosen = ""
	}
	m.top = min(max(min(m.top, at), at-m.rows+1), max(0, len(m.list.Sessions)-m.rows))
}

// Say shows what came of an action, for some seconds.
func (m *Model) Say(text string, now time.Time) {
	m.says, m.saysTill = text, now.Add(5*time.Second)
}

// sorts are the keys that choose an order, and what it is called.
var sorts = []struct{ key, order, name string }{
	{"m", "messages", "messages"},
	{"b", "bytes", "bytes"},
	{"w", "queue", "what waits"},
	{"c", "client", "name"},
}

// Key takes one key: a character, or a name: up, down, pgup, pgdn, home, end,
// enter, esc, backspace, ctrl-c.
func (m *Model) Key(k string) Action {
	if k == "ctrl-c" {
		return Action{Quit: true}
	}
	switch m.mode {
	case finding:
		return m.spell(k)
	case asking:
		m.mode = watching
		if k == "y" || k == "Y" {
			return Action{Kick: m.victim}
		}
		return Action{}
	case helping:
		m.mode = watching
		return Action{}
	}
	for _, s := range sorts {
		if k == s.key {
			m.sort, m.top, m.chosen = s.order, 0, ""
			return Action{Ask: true}
		}
	}
	return m.watch(k)
}

func (m *Model) watch(k string) Action {
	switch k {
	case "q", "Q":
		return Action{Quit: true}
	case "/":
		m.mode, m.typed = finding, m.find
	case "esc":
		if m.find != "" {
			m.find = ""
			return Action{Ask: true}
		}
	case "k":
		if m.list != nil && len(m.list.Sessions) > 0 {
			m.mode, m.victim = asking, m.list.Sessions[m.cursor()].Client
		}
	case "p", " ":
		m.paused = !m.paused
	case "?", "h":
		m.mode = helping
	case "up":
		m.move(-1)
	case "down":
		m.move(1)
	case "pgup":
		m.move(-m.rows)
	case "pgdn":
		m.move(m.rows)
		return Action{Ask: true} // there may be more than has been asked for
	case "home":
		m.move(-1 << 30)
	case "end":
		m.move(1 << 30)
	}
	return Action{}
}

// spell takes a key of the text to find.
func (m *Model) spell(k string) Action {
	switch {
	case k == "enter":
		m.mode, m.find, m.top, m.chosen = watching, m.typed, 0, ""
		return Action{Ask: true}
	case k == "esc":
		m.mode = watching
	case k == "backspace":
		_, n := utf8.DecodeLastRuneInString(m.typed)
		m.typed = m.typed[:len(m.typed)-n]
	case utf8.RuneCountInString(k) == 1 && len(m.typed) < 200:
		m.typed += strings.TrimFunc(k, func(r rune) bool { return r < ' ' })
	}
	return Action{}
}

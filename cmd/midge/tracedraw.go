package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/midgemq/midge/trace"
)

// A traceDrawing prints events for people, a line each, and remembers what there
// was.
type traceDrawing struct {
	out    io.Writer
	paint  bool
	width  int // of the column of names, as wide as needed so far
	kinds  map[trace.Kind]int
	lost   map[string]int // by fate
	missed uint64
}

// Colours, as terminals have them.
const (
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "34"
	cyan   = "36"
)

// painted reports whether out takes colours: it is a terminal, and its user has
// not asked for none.
func painted(out io.Writer) bool {
	return terminal(out) != nil && os.Getenv("NO_COLOR") == ""
}

func (d *traceDrawing) in(colour, s string) string {
	if !d.paint || s == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// draw prints one event.
func (d *traceDrawing) draw(e trace.Event) {
	if d.kinds == nil {
		d.kinds, d.lost = map[trace.Kind]int{}, map[string]int{}
	}
	d.kinds[e.Kind]++
	lost := lostAs(e)
	if lost != "" {
		d.lost[lost]++
	}
	d.missed += e.Count
	colour, sign := looks(e)
	who := printable(e.Client)
	if who == "" {
		who = "-"
	}
	d.width = min(max(d.width, utf8.RuneCountInString(who)), 24)
	pad := strings.Repeat(" ", max(d.width-utf8.RuneCountInString(who), 0))
	fmt.Fprintf(d.out, "%s  %s%s  %s  %s\n", d.in(dim, e.Time.Local().Format("15:04:05.000")), who, pad, d.in(colour, sign), strings.Join(d.words(e, colour), "  "))
}

// looks is the colour of an event, and the sign in its middle.
func looks(e trace.Event) (colour, sign string) {
	switch e.Kind {
	case trace.In:
		return cyan, "->|"
	case trace.Out:
		return blue, "<-|"
	case trace.Connected:
		return green, "+++"
	case trace.Disconnected:
		return yellow, "---"
	case trace.Routed:
		switch e.Fate {
		case trace.Sent.String():
			return green, "|->"
		case trace.Queued.String():
			return yellow, "|->"
		}
		return red, "|-x"
	case trace.Lost:
		return red, "|-x"
	case trace.Refused, trace.Missed:
		return red, "!!!"
	}
	return dim, "..."
}

// lostAs is why a message did not reach a subscriber; "" if it may have.
func lostAs(e trace.Event) string {
	if e.Kind != trace.Lost && e.Kind != trace.Routed || e.Fate == trace.Sent.String() || e.Fate == trace.Queued.String() {
		return ""
	}
	return e.Fate
}

// words are what an event says, in columns.
func (d *traceDrawing) words(e trace.Event, colour string) (words []string) {
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if e.Kind != trace.In && e.Kind != trace.Out && e.Kind != trace.Routed {
		words = append(words, d.in(colour, string(e.Kind)))
	}
	if e.Packet != "" {
		words = append(words, d.in(colour, fmt.Sprintf("%-11s", e.Packet)))
	}
	if e.Topic != "" && e.Packet != "CONNECT" {
		add("QoS %d", e.QoS)
	}
	if e.ID != 0 {
		add("id %d", e.ID)
	}
	if e.Retain {
		add("retain")
	}
	if e.Dup {
		add("dup")
	}
	if e.Topic != "" {
		add("%s", printable(e.Topic))
	}
	for _, f := range e.Filters {
		add("%s", printable(f))
	}
	for _, c := range e.Codes {
		add("%s", c)
	}
	if e.Size > 0 {
		words = append(words, d.in(dim, humanBytes(int64(e.Size))))
	}
	if e.Payload != "" {
		add("%q", e.Payload)
	}
	return append(words, d.outcome(e, colour)...)
}

// outcome is the end of a line: for whom, why, and what else there is to say.
func (d *traceDrawing) outcome(e trace.Event, colour string) (words []string) {
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if e.To != "" {
		add("to %s", printable(e.To))
	}
	words = append(words, d.in(colour, e.Fate))
	if e.Code != nil && (*e.Code != 0 || e.Kind == trace.Out) {
		words = append(words, d.in(reasonColour(*e.Code), strings.TrimSpace(fmt.Sprintf("%s (0x%02X)", e.Reason, *e.Code))))
	}
	if e.User != "" && (e.Kind == trace.Connected || e.Kind == trace.Refused || e.Packet == "CONNECT") {
		add("user %s", printable(e.User))
	}
	if e.Kind == trace.Connected || e.Kind == trace.Refused {
		add("from %s", e.Remote)
	}
	words = append(words, printable(e.Detail))
	if e.Count > 0 {
		add("%s came too fast to be shown", count(int(e.Count), "event"))
	}
	return slices.DeleteFunc(words, func(s string) bool { return s == "" })
}

func reasonColour(code uint8) string {
	if code >= 0x80 {
		return red
	}
	return dim
}

// summary says what there was.
func (d *traceDrawing) summary() {
	var parts []string
	for _, kind := range []struct {
		of   trace.Kind
		what string
	}{
		{trace.In, "packet in"}, {trace.Out, "packet out"}, {trace.Connected, "connect"}, {trace.Disconnected, "disconnect"}, {trace.Refused, "refusal"},
	} {
		if n := d.kinds[kind.of]; n > 0 {
			noun, rest, _ := strings.Cut(kind.what, " ")
			parts = append(parts, strings.TrimSpace(count(n, noun)+" "+rest))
		}
	}
	if n := d.kinds[trace.Routed] + d.kinds[trace.Lost]; n > 0 {
		parts = append(parts, count(n, "decision"))
	}
	for _, fate := range slices.Sorted(maps.Keys(d.lost)) {
		parts = append(parts, d.in(red, fmt.Sprintf("%s not delivered: %s", group(d.lost[fate]), fate)))
	}
	if d.missed > 0 {
		parts = append(parts, d.in(red, count(int(d.missed), "event")+" not shown"))
	}
	if len(parts) == 0 {
		parts = []string{"nothing happened"}
	}
	fmt.Fprintln(d.out, strings.Join(parts, ", "))
}

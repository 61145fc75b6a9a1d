package top

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/protect"
)

var update = flag.Bool("update", false, "write the frames of testdata")

var start = time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)

// sampleAt is what there is to see n seconds after start.
func sampleAt(n int) Sample {
	at := start.Add(time.Duration(n) * time.Second)
	busy := uint64(n) * uint64(n)
	c := &admin.Counts{At: at, Ready: true}
	c.Broker = midge.Stats{
		Version: "1.2.3", Started: start.Add(-3*24*time.Hour - 4*time.Hour), Clients: 1204, MostClients: 1310, Away: 33,
		ClientsV31: 1, ClientsV311: 391, ClientsV5: 812, Subscriptions: 3201, Retained: 1000, RetainedBytes: 171_000,
		Queued: 1203, QueuedBytes: 3_250_000, Inflight: 120,
		In:  midge.Traffic{Messages: 1_000_000 + 12_000*busy, Bytes: 50_000_000 + 1_200_000*busy},
		Out: midge.Traffic{Messages: 9_000_000 + 98_000*uint64(n), Bytes: 400_000_000 + 9_800_000*uint64(n)},
	}
	c.Broker.Dropped.Slow, c.Broker.Denied.Connects = 3*uint64(n), 7
	c.Shield = &protect.Counts{Bans: 2, Banned: 1, Rate: 4}
	c.Process = admin.Process{Heap: 31 << 20, Sys: 90 << 20, MemoryLimit: 512 << 20, Resident: 84 << 20, CPU: 100 + 0.34*float64(n), Files: 1240, MaxFiles: 20_000}
	list := &admin.List{At: at, Found: 1204}
	for i := range 40 {
		list.Sessions = append(list.Sessions, admin.Session{
			Client: fmt.Sprintf("sensor-%02d", i), Connected: true, User: "plant", Address: fmt.Sprintf("192.0.2.%d:%d", i, 40_000+i), Version: "5.0",
			Since: start.Add(-time.Duration(i) * 37 * time.Minute), Subscriptions: 2,
			Rates: &admin.Rates{MessagesIn: float64(4000 / (i + 1)), BytesIn: float64(4_000_000 / (i + 1)), MessagesOut: float64(i)},
		})
	}
	list.Sessions[1].Client, list.Sessions[1].User = "温度計-東", "évariste"
	list.Sessions[2].Client, list.Sessions[2].QueuedBytes, list.Sessions[2].Stalled, list.Sessions[2].Dropped = "nasty\x1b[2Jname", 4<<20, 12, 30
	slow := &admin.List{At: at, Found: 2, Sessions: []admin.Session{
		list.Sessions[2],
		{Client: "archive", Queued: 1203, QueuedBytes: 3_250_000},
	}}
	return Sample{At: at, Counts: c, List: list, Slow: slow}
}

func watched(n int) *Model {
	m := NewModel("127.0.0.1:9883")
	for i := range n {
		m.Feed(sampleAt(i))
	}
	return m
}

func keys(m *Model, all ...string) {
	for _, k := range all {
		m.Key(k)
	}
}

// Frames are compared with what somebody has looked at.
func TestFrames(t *testing.T) {
	for _, c := range []struct {
		name string
		w, h int
		do   func() *Model
	}{
		{"usual", 100, 24, func() *Model { return watched(30) }},
		{"wide", 160, 30, func() *Model { return watched(100) }},
		{"narrow", 60, 16, func() *Model { return watched(5) }},
		{"tiny", 30, 5, func() *Model { return watched(5) }},
		{"colors", 80, 18, func() *Model { m := watched(5); m.Color = true; return m }},
		{"ascii", 80, 18, func() *Model { m := watched(9); m.ASCII = true; return m }},
		{"first", 80, 12, func() *Model { s := sampleAt(0); s.List, s.Slow = nil, nil; m := watched(0); m.Feed(s); return m }},
		{"nothing", 80, 12, func() *Model { return watched(0) }},
		{"refused", 80, 12, func() *Model {
			m := watched(0)
			m.Feed(Sample{At: start, Err: errors.New("the token is missing or wrong")})
			return m
		}},
		{"gone", 80, 18, func() *Model {
			m := watched(5)
			for i := range 4 {
				m.Feed(Sample{At: start.Add(time.Duration(5+i) * time.Second), Err: errors.New("connection refused")})
			}
			return m
		}},
		{"find", 80, 18, func() *Model { m := watched(5); keys(m, "/", "p", "x", "backspace", "l"); return m }},
		{"found", 80, 18, func() *Model { m := watched(5); keys(m, "/", "p", "l", "enter", "b"); return m }},
		{"kick", 80, 18, func() *Model { m := watched(5); m.Frame(80, 18); keys(m, "down", "down", "k"); return m }},
		{"kicked", 80, 18, func() *Model { m := watched(5); m.Say("sensor-01 is disconnected", start.Add(3*time.Second)); return m }},
		{"scrolled", 80, 20, func() *Model { m := watched(5); m.Frame(80, 20); keys(m, "end", "up"); return m }},
		{"paused", 80, 18, func() *Model { m := watched(5); keys(m, "p"); m.Feed(sampleAt(6)); return m }},
		{"help", 80, 18, func() *Model { m := watched(5); keys(m, "?"); return m }},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := c.do().Frame(c.w, c.h)
			if len(lines) != c.h {
				t.Errorf("%d lines, want %d", len(lines), c.h)
			}
			for i, l := range lines {
				if n := width(unstyled(l)); n > c.w {
					t.Errorf("line %d takes %d columns of %d", i, n, c.w)
				}
			}
			golden(t, c.name, strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "\x1b", "^"))
		})
	}
}

func TestStill(t *testing.T) {
	m := watched(3)
	m.Color = true
	golden(t, "still", strings.Join(m.Still(120, 12), "\n")+"\n")
}

// unstyled is a line without SGR.
func unstyled(l string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(l, "\x1b[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		_, l, _ = strings.Cut(rest, "m")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestKeys(t *testing.T) {
	m := watched(3)
	m.Frame(80, 20)
	for _, c := range []struct {
		key  string
		want Action
		sort string
	}{
		{"b", Action{Ask: true}, "bytes"},
		{"w", Action{Ask: true}, "queue"},
		{"c", Action{Ask: true}, "client"},
		{"m", Action{Ask: true}, "messages"},
		{"down", Action{}, "messages"},
		{"k", Action{}, "messages"},
		{"n", Action{}, "messages"}, // no
		{"k", Action{}, "messages"},
		{"y", Action{Kick: "温度計-東"}, "messages"},
		{"up", Action{}, "messages"},
		{"k", Action{}, "messages"},
		{"Y", Action{Kick: "sensor-00"}, "messages"},
		{"/", Action{}, "messages"},
		{"q", Action{}, "messages"}, // is part of the text
		{"esc", Action{}, "messages"},
		{"?", Action{}, "messages"},
		{"q", Action{}, "messages"}, // leaves the help
		{"q", Action{Quit: true}, "messages"},
		{"ctrl-c", Action{Quit: true}, "messages"},
	} {
		if got := m.Key(c.key); got != c.want || m.Query().Sort != c.sort {
			t.Errorf("%s: %+v, sorted by %s; want %+v", c.key, got, m.Query().Sort, c.want)
		}
	}
	keys(m, "/", "ä", "b", "\x01", "enter")
	if q := m.Query(); q.Find != "äb" || !q.Rates {
		t.Errorf("%+v", q)
	}
	if a := m.Key("esc"); !a.Ask || m.Query().Find != "" {
		t.Errorf("%+v", a)
	}
}

// The cursor stays on its client, wherever that goes, until the client goes.
func TestCursorFollows(t *testing.T) {
	m := watched(2)
	m.Frame(80, 20)
	keys(m, "down", "down", "down")
	s := sampleAt(3)
	l := s.List.Sessions
	l[3], l[30] = l[30], l[3]
	m.Feed(s)
	if m.cursor() != 30 || m.top > 30 || m.top+m.rows <= 30 {
		t.Errorf("cursor at %d, %d rows from %d", m.cursor(), m.rows, m.top)
	}
	s = sampleAt(4)
	s.List.Sessions = s.List.Sessions[:1]
	m.Feed(s)
	if m.cursor() != 0 || m.top != 0 {
		t.Errorf("cursor at %d, from %d", m.cursor(), m.top)
	}
}

// A broker that was restarted has passed nothing yet, and no negative rate.
func TestRestart(t *testing.T) {
	m := watched(5)
	s := sampleAt(6)
	s.Counts.Broker.Started, s.Counts.Broker.In.Messages = start, 3
	m.Feed(s)
	m.Frame(80, 20)
	s = sampleAt(7)
	s.Counts.Broker.Started, s.Counts.Broker.In.Messages = start, 10
	m.Feed(s)
	if got := m.in.last(); got != 7 {
		t.Errorf("%v messages a second, want 7", got)
	}
}

func TestText(t *testing.T) {
	for got, want := range map[string]string{
		number(0): "0", number(0.25): "0.2", number(9.96): "10", number(1204): "1,204", number(31_400_000): "31.4M", number(2e9): "2.0G",
		size(0): "0 B", size(999): "999 B", size(1000): "1.0 KiB", size(99.9 * 1024): "100 KiB", size(1 << 40): "1.0 TiB",
		span(0): "0s", span(61 * time.Second): "1m 1s", span(25 * time.Hour): "1d 1h", span(2 * time.Hour): "2h 0m",
		fit("abc", 5): "abc  ", fit("abcdef", 3): "ab~", fit("東京都", 4): "東~ ", fit("é", 1): "é", fit("x", 0): "", right("12", 4): "  12",
		spark(history{0, 1, 2}, 5, true): "  _~@", spark(history{0, 0}, 2, false): "▁▁", bar(0.5, 4, true): "##..", bar(7, 2, true): "##",
		printable("a\x1bb"): `"a\x1bb"`, printable("日本"): "日本",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/store/disk"
)

// exitDamaged is what check ends with when something could not be read.
const exitDamaged = 3

const checkText = `
With -c or --mosquitto-conf, reads a configuration and the files that it names,
and says what is wrong or what would listen where. It ends with 1 if something is
wrong.

Otherwise reads the folder DATADIR that midge serve --data keeps, checks every byte of it,
and prints what is stored. It changes nothing, and needs no broker to stop: of a
folder in use it shows one moment.

It ends with 0; with 3 if something could not be read; with 1 if there is no
store, or one of a later version; with 2 if the command line makes no sense.

Examples:
  midge check -c midge.toml
  midge check /var/lib/midge
  midge check --sessions 100 /var/lib/midge
  midge check --json --sessions -1 /var/lib/midge | jq '.sessions[].client'`

func checkCmd(_ context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("check", out, errs, "midge check -c FILE | midge check [options] DATADIR", checkText)
	var f serveFlags
	f.defineSources(fs.FlagSet)
	asJSON := fs.Bool("json", false, "print it as JSON")
	most := fs.Int("sessions", 10, "list `n` sessions, those with the longest queues; -1 lists all")
	folders := func() int {
		if f.file != "" || f.mosquitto != "" {
			return 0
		}
		return 1
	}
	if err := parseCounted(fs, args, folders); err != nil {
		return err
	}
	if folders() == 0 {
		return orUsage(fs, checkConfig(&f, out))
	}
	dir := fs.Arg(0)
	opt := disk.Options{ReadOnly: true, Logger: slog.New(slog.DiscardHandler)}
	done := drawProgress(errs, "reading "+dir, &opt)
	st, err := disk.Open(dir, opt)
	done()
	if err != nil {
		return err
	}
	defer st.Close()
	if _, err := os.Stat(filepath.Join(dir, "LOCK")); st.Report().Segments == 0 && err != nil {
		return fmt.Errorf("there is no store in %s; midge serve --data %s makes one", dir, dir)
	}
	c, err := newChecked(dir, st, *most)
	if err != nil {
		return err
	}
	if *asJSON {
		err = printJSON(out, c)
	} else {
		err = c.draw(out)
	}
	if err == nil && c.Damaged {
		return &exitError{code: exitDamaged}
	}
	return err
}

// A checked is what check found, as its JSON has it. Sizes are bytes.
type checked struct {
	Folder   string   `json:"folder"`
	InUse    bool     `json:"inUse"`
	Damaged  bool     `json:"damaged"`
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"`
	Live     int64    `json:"liveBytes"`       // of Bytes; the rest is won back in time
	Torn     int64    `json:"unfinishedBytes"` // at the end: a write that a crash cut short, promised to nobody
	Damage   []damage `json:"damage"`
	Lost     lost     `json:"lost"`
	Aside    []string `json:"setAside"` // folders with files damaged earlier
	Messages int      `json:"messages"` // each once, however many sessions queue it
	Total    totals   `json:"total"`
	Retained retained `json:"retained"`

	Sessions []checkedSession `json:"sessions"`

	took time.Duration
	now  time.Time
}

type damage struct {
	File string `json:"file"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Why  string `json:"why"`
}

type lost struct {
	Messages int      `json:"messages"`
	Sessions int      `json:"sessions"`
	Errors   []string `json:"errors"` // of what the index has and the files have not
}

type totals struct {
	Sessions      int `json:"sessions"`
	Connected     int `json:"connected"`
	Subscriptions int `json:"subscriptions"`
	Queued        int `json:"queued"`
	QueuedBytes   int `json:"queuedBytes"`
	Inflight      int `json:"inflight"`
	Held          int `json:"heldIdentifiers"` // of QoS 2
	Wills         int `json:"wills"`
}

type retained struct {
	Messages int   `json:"messages"`
	Bytes    int64 `json:"bytes"` // payloads and topics
}

type checkedSession struct {
	Client        string     `json:"client"`
	Away          *time.Time `json:"away,omitempty"`    // since when; none: it was connected
	Expires       *time.Time `json:"expires,omitempty"` // none: never, or not while it is connected
	Subscriptions []string   `json:"subscriptions"`
	Queued        int        `json:"queued"`
	QueuedBytes   int        `json:"queuedBytes"`
	Inflight      int        `json:"inflight"`
	Held          int        `json:"heldIdentifiers"`
	Will          string     `json:"will,omitempty"` // its topic
}

// newChecked looks at everything, and keeps the most sessions with the longest
// queues.
func newChecked(dir string, st *disk.Store, most int) (*checked, error) {
	found, stats := st.Report(), st.Stats()
	c := &checked{
		Folder: dir, InUse: found.InUse, Files: found.Segments, Bytes: stats.Bytes, Live: stats.Live, Torn: found.Torn,
		Lost:     lost{Messages: found.Lost, Sessions: found.Sessions, Errors: []string{}},
		Messages: stats.Messages, Damage: []damage{}, Sessions: []checkedSession{}, Aside: []string{}, took: found.Took, now: time.Now(),
	}
	for _, d := range found.Damage {
		c.Damage = append(c.Damage, damage(d))
	}
	err := st.Sessions(func(s *store.Snapshot) bool {
		c.add(s, most)
		return true
	})
	err = errors.Join(err, st.Retained(func(_ store.MessageID, m *store.Message) bool {
		c.Retained.Messages++
		c.Retained.Bytes += int64(len(m.Topic) + len(m.Payload))
		return true
	}))
	if err != nil {
		c.Lost.Errors = append(c.Lost.Errors, err.Error())
	}
	c.Damaged = found.Damaged() || err != nil
	c.trim(most)
	aside, err := filepath.Glob(filepath.Join(dir, "damaged*"))
	c.Aside = append(c.Aside, aside...)
	return c, err
}

// add counts a session and keeps it for the list, unless there are plenty with
// longer queues.
func (c *checked) add(s *store.Snapshot, most int) {
	t := &c.Total
	t.Sessions++
	t.Subscriptions += len(s.Subscriptions)
	t.Queued += s.Queued
	t.QueuedBytes += s.QueuedBytes
	t.Inflight += s.Inflight
	t.Held += s.Held
	k := checkedSession{
		Client: s.Client, Subscriptions: []string{}, Queued: s.Queued, QueuedBytes: s.QueuedBytes, Inflight: s.Inflight, Held: s.Held,
	}
	for i := range s.Subscriptions {
		k.Subscriptions = append(k.Subscriptions, s.Subscriptions[i].Filter)
	}
	if s.Will != nil {
		t.Wills++
		k.Will = string(s.Will.Body.Topic)
	}
	if s.Away == 0 {
		t.Connected++
	} else {
		away := time.Unix(0, s.Away)
		k.Away = &away
		if s.Expiry != mqtt.NeverExpires {
			end := away.Add(time.Duration(s.Expiry) * time.Second)
			k.Expires = &end
		}
	}
	c.Sessions = append(c.Sessions, k)
	if most >= 0 && len(c.Sessions) > 2*most+1000 {
		c.trim(most)
	}
}

func (c *checked) trim(most int) {
	slices.SortFunc(c.Sessions, func(a, b checkedSession) int {
		return cmp.Or(cmp.Compare(b.QueuedBytes, a.QueuedBytes), cmp.Compare(a.Client, b.Client))
	})
	if most >= 0 && len(c.Sessions) > most {
		c.Sessions = c.Sessions[:most]
	}
}

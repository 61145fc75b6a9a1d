//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/midgemq/midge/internal/screen"
)

// A cast is a recording, version 2 of asciinema's format.
type cast struct {
	start time.Time // immutable

	mu      sync.Mutex
	events  [][3]any       // guarded by mu
	screen  *screen.Screen // guarded by mu
	picture *bytes.Buffer  // guarded by mu; nil: none yet
	failed  error          // guarded by mu
}

func newCast() *cast { return &cast{start: time.Now(), screen: screen.New(columns, lines)} }

// took notes output.
func (c *cast) took(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Since(c.start).Round(time.Millisecond).Seconds()
	c.events = append(c.events, [3]any{at, "o", string(b)})
	c.screen.Write(b)
}

func (c *cast) takePicture() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.picture = new(bytes.Buffer)
	c.failed = c.screen.SVG(c.picture, "midge top")
}

func (c *cast) writeCast(file string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(struct {
		Version   int               `json:"version"`
		Width     int               `json:"width"`
		Height    int               `json:"height"`
		Timestamp int64             `json:"timestamp"`
		Title     string            `json:"title"`
		Env       map[string]string `json:"env"`
	}{2, columns, lines, c.start.Unix(), "midge top", map[string]string{"TERM": "xterm-256color"}})
	for _, ev := range c.events {
		e.Encode(ev)
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

func (c *cast) writeSVG(file string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.picture == nil || c.failed != nil {
		return errors.Join(errors.New("there is no picture"), c.failed)
	}
	return os.WriteFile(file, c.picture.Bytes(), 0o644)
}

package telemetry

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/midgemq/midge"
)

// A poster sends requests to collectors.
type poster struct {
	cfg    *Config
	client *http.Client
}

// A destination takes one kind of request. It is used by one goroutine.
type destination struct {
	*poster
	kind, url string
	headers   map[string]string
	log       *slog.Logger
	hurry     context.Context // ends what is still going on at the end
	cancel    context.CancelFunc
	failing   bool   // the log knows
	lost      uint64 // since then
}

// How often a request is tried, how long it waits for the next try at first and
// at most, and how much of an answer is read.
const (
	attempts    = 5
	firstWait   = time.Second
	longestWait = 30 * time.Second
	answerSize  = 64 << 10
)

func newPoster(cfg *Config) *poster {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = cfg.TLS
	return &poster{cfg, &http.Client{
		Transport: t, Timeout: cmp.Or(cfg.Timeout, 10*time.Second),
		// Headers hold tokens, which go where they were meant to go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// to is the destination at an URL; nil if there is none.
func (p *poster) to(kind, where string, headers map[string]string) *destination {
	if where == "" {
		return nil
	}
	all := maps.Clone(p.cfg.Headers)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, headers)
	d := &destination{poster: p, kind: kind, url: where, headers: all, log: p.cfg.Logger}
	d.hurry, d.cancel = context.WithCancel(context.Background())
	return d
}

func (d *destination) giveUp() {
	if d != nil {
		d.cancel()
	}
}

// An outcome is how a request went.
type outcome struct{ taken, lost, failures uint64 }

// A rejection is an answer that says no.
type rejection struct {
	status string
	again  bool
	wait   time.Duration // 0: as one likes
}

func (r *rejection) Error() string { return "it answers " + r.status }

// send has n things taken, and tries again where that makes sense, until ctx
// ends: from then on there is one attempt.
func (d *destination) send(ctx context.Context, body []byte, n uint64) (o outcome) {
	wait := firstWait
	for try := 1; ; try++ {
		rejected, why, err := d.post(body)
		if err == nil {
			o.taken, o.lost = n-min(rejected, n), min(rejected, n)
			if rejected > 0 {
				err = fmt.Errorf("it does not take %d of %d: %s", rejected, n, why)
			}
			d.say(err, o.lost)
			return o
		}
		o.failures++
		var r *rejection
		asked := time.Duration(0)
		if errors.As(err, &r) {
			asked = r.wait
		}
		if try == attempts || r != nil && !r.again || !pause(ctx, min(cmp.Or(asked, wait/2+rand.N(wait/2)), longestWait)) {
			o.lost = n
			d.say(err, n)
			return o
		}
		wait *= 2
	}
}

// pause waits. False is a ctx that ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// say tells the log when the collector takes nothing, and when it does again:
// once each.
func (d *destination) say(err error, lost uint64) {
	d.lost += lost
	switch {
	case err != nil && !d.failing:
		d.failing = true
		d.log.Warn("the collector does not take "+d.kind, "url", d.url, "error", err)
	case err == nil && d.failing:
		d.log.Info("the collector takes "+d.kind+" again", "url", d.url, "lost", d.lost)
		d.failing, d.lost = false, 0
	}
}

// post is one attempt. rejected is how much of it was not taken, though the
// answer is yes.
func (d *destination) post(body []byte) (rejected uint64, why string, err error) {
	coding := ""
	if d.cfg.Gzip {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(body) // to memory
		w.Close()
		body, coding = z.Bytes(), "gzip"
	}
	r, err := http.NewRequestWithContext(d.hurry, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("User-Agent", "midge/"+midge.Version)
	for key, value := range d.headers {
		r.Header.Set(key, value)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	if coding != "" {
		r.Header.Set("Content-Encoding", coding)
	}
	w, err := d.client.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return 0, "", err
	}
	defer w.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(w.Body, answerSize))
	switch {
	case w.StatusCode/100 != 2:
		return 0, "", rejectionOf(w)
	case err != nil:
		return 0, "", err
	}
	rejected, why = partial(answer)
	return rejected, why, nil
}

func rejectionOf(w *http.Response) *rejection {
	r := &rejection{status: w.Status}
	switch w.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		r.again = true
	}
	if s := w.Header.Get("Retry-After"); s != "" {
		if n, err := strconv.ParseUint(s, 10, 31); err == nil {
			r.wait = time.Duration(n) * time.Second
		} else if at, err := http.ParseTime(s); err == nil {
			r.wait = max(time.Until(at), 0)
		}
	}
	return r
}

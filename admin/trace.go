package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/trace"
)

// The longest trace there is over HTTP, and how long its reader may stall.
const (
	longestTrace  = 24 * time.Hour
	mostEvents    = 100_000_000
	tracePatience = 10 * time.Second
)

// trace streams the events of a trace, a JSON object a line, until it is over or
// its reader has gone.
func (h *Handler) trace(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r.URL.Query())
	if err != nil {
		fail(w, &problem{http.StatusBadRequest, err.Error(), "?client= user= address= and topic= say of what, packets=true payload=BYTES how much, for=1m events=10000 how long"})
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	err = h.b.Trace(ctx, f, func(e trace.Event) {
		if e.Kind == trace.Began {
			h.log.Info("trace begins", "of", f.String(), "by", r.RemoteAddr)
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		out.SetWriteDeadline(time.Now().Add(tracePatience)) // not every ResponseWriter has one
		if lines.Encode(e) != nil || out.Flush() != nil {
			cancel()
		}
		out.SetWriteDeadline(time.Time{}) // HTTP/2 ends a stream by one, though nothing is written
	})
	switch {
	case errors.Is(err, midge.ErrTooManyTraces):
		fail(w, &problem{http.StatusServiceUnavailable, "there are as many traces in progress as there may be", "wait for one to end"})
	case err != nil:
		fail(w, err)
	}
}

// parseFilter reads a Filter from a URL.
func parseFilter(v url.Values) (f trace.Filter, err error) {
	f = trace.Filter{Client: v.Get("client"), User: v.Get("user"), Address: v.Get("address"), Topic: v.Get("topic")}
	number := func(key string, to *int) {
		if s := v.Get(key); s != "" && err == nil {
			if *to, err = strconv.Atoi(s); err != nil {
				err = fmt.Errorf("%s=%s is no number", key, s)
			}
		}
	}
	number("payload", &f.Payload)
	number("events", &f.Events)
	if s := v.Get("packets"); s != "" && err == nil {
		if f.Packets, err = strconv.ParseBool(s); err != nil {
			err = fmt.Errorf("packets=%s is neither true nor false", s)
		}
	}
	if s := v.Get("for"); s != "" && err == nil {
		f.For, err = time.ParseDuration(s)
	}
	if err == nil && (f.For < 0 || f.For > longestTrace || f.Events < 0 || f.Events > mostEvents) {
		err = fmt.Errorf("for=%v&events=%d is no bound: want up to %v and %d", f.For, f.Events, longestTrace, mostEvents)
	}
	if err == nil {
		f, err = f.Resolve()
	}
	return f, err
}

// errCutShort is the end of a trace that did not say it was at its end.
var errCutShort = errors.New("the broker has gone in the middle of the trace")

// Trace calls handle with the events that f asks for, and returns nil once they
// are over or ctx is. f is bounded: it never runs for more than a day.
func (c *Client) Trace(ctx context.Context, f trace.Filter, handle func(trace.Event)) error {
	v := url.Values{}
	for key, value := range map[string]string{"client": f.Client, "user": f.User, "address": f.Address, "topic": f.Topic} {
		if value != "" {
			v.Set(key, value)
		}
	}
	v.Set("packets", strconv.FormatBool(f.Packets))
	v.Set("payload", strconv.Itoa(f.Payload))
	v.Set("events", strconv.Itoa(f.Events))
	v.Set("for", f.For.String())
	body, err := c.stream(ctx, "/api/v1/trace", v)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := json.NewDecoder(bufio.NewReader(body))
	for {
		var e trace.Event
		switch err := lines.Decode(&e); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errCutShort
		case err != nil:
			return err
		}
		if handle(e); e.Kind == trace.Over {
			return nil
		}
	}
}

// stream asks for something that takes as long as it takes.
func (c *Client) stream(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	endless := &Client{base: c.base, token: c.token, http: &http.Client{Transport: c.http.Transport}}
	w, err := endless.send(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	return w.Body, nil
}

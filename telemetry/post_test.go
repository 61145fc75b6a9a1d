package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers are a collector's, one after the other.
type answers struct {
	at  []time.Time
	all []func(r *http.Request) (*http.Response, error)
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	i := len(a.at)
	a.at = append(a.at, time.Now())
	return a.all[min(i, len(a.all)-1)](r)
}

func says(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		w := &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}}
		for i := 0; i < len(header); i += 2 {
			w.Header.Set(header[i], header[i+1])
		}
		return w, nil
	}
}

func fails(*http.Request) (*http.Response, error) { return nil, errors.New("no route") }

func TestSend(t *testing.T) {
	const third = "\x0a\x08\x08\x03\x12\x04full" // 3 were not taken
	type all = []func(*http.Request) (*http.Response, error)
	for name, c := range map[string]struct {
		answers   all
		want      outcome
		tries     int
		low, high time.Duration // of all of it
		logged    int           // lines
	}{
		"taken":         {all{says(200, "")}, outcome{taken: 10}, 1, 0, 0, 0},
		"partly":        {all{says(200, third)}, outcome{taken: 7, lost: 3}, 1, 0, 0, 1},
		"wrong":         {all{says(400, "")}, outcome{lost: 10, failures: 1}, 1, 0, 0, 1},
		"elsewhere":     {all{says(307, "", "Location", "http://evil")}, outcome{lost: 10, failures: 1}, 1, 0, 0, 1},
		"later":         {all{says(503, ""), fails, says(200, "")}, outcome{taken: 10, failures: 2}, 3, 1500 * time.Millisecond, 3 * time.Second, 0},
		"when it says":  {all{says(429, "", "Retry-After", "7"), says(200, "")}, outcome{taken: 10, failures: 1}, 2, 7 * time.Second, 7 * time.Second, 0},
		"not that late": {all{says(429, "", "Retry-After", "7000"), says(200, "")}, outcome{taken: 10, failures: 1}, 2, longestWait, longestWait, 0},
		"never":         {all{fails}, outcome{lost: 10, failures: attempts}, attempts, 7 * time.Second, 15 * time.Second, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			var lines strings.Builder
			a := &answers{all: c.answers}
			p := newPoster(&Config{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
			p.client.Transport = a
			d := p.to("traces", "http://x", nil)
			began := time.Now()
			got := d.send(t.Context(), []byte("body"), 10)
			if took := time.Since(began); got != c.want || len(a.at) != c.tries || took < c.low || took > c.high {
				t.Errorf("%s: %+v after %d tries and %v", name, got, len(a.at), took)
			}
			a.all = all{says(200, "")}
			d.send(t.Context(), nil, 1)
			if n := strings.Count(lines.String(), "\n"); n != 2*c.logged {
				t.Errorf("%s: the log says %s", name, &lines)
			}
			d.giveUp()
		})
	}
}

// At the end there is one attempt, and none that takes longer than there is time.
func TestSendAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{all: []func(*http.Request) (*http.Response, error){fails}}
		p := newPoster(&Config{Logger: slog.New(slog.DiscardHandler)})
		p.client.Transport = a
		d := p.to("traces", "http://x", nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if o := d.send(ctx, nil, 1); o.failures != 1 || time.Since(began) != 0 {
			t.Errorf("%+v after %v", o, time.Since(began))
		}
		a.all[0] = func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }
		time.AfterFunc(time.Second, d.giveUp)
		if o := d.send(ctx, nil, 1); o.failures != 1 || time.Since(began) != time.Second {
			t.Errorf("%+v after %v", o, time.Since(began))
		}
	})
}

package admin_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
)

// A oneListener hands out one connection.
type oneListener struct{ conns chan net.Conn }

func (l oneListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l oneListener) Close() error   { return nil }
func (l oneListener) Addr() net.Addr { return nil }

// Those who send half a request, or do not take an answer, do not stay.
func TestPatience(t *testing.T) {
	for name, text := range map[string]string{
		"half a body, no token": "POST /api/v1/bans HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{",
		"reads nothing":         "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, midge.Config{})
				w.h.SetToken("correct horse battery staple")
				over := make(chan struct{})
				s := http.Server{Handler: w.h, ConnState: func(_ net.Conn, state http.ConnState) {
					if state == http.StateClosed {
						close(over)
					}
				}}
				near, far := net.Pipe()
				defer near.Close()
				ln := oneListener{conns: make(chan net.Conn, 1)}
				ln.conns <- far
				close(ln.conns)
				s.Serve(ln)
				if _, err := io.WriteString(near, text); err != nil {
					t.Fatal(err)
				}
				if name != "reads nothing" {
					go io.Copy(io.Discard, near)
				}
				select {
				case <-over:
				case <-time.After(time.Hour):
					t.Error("it is there an hour later")
				}
			})
		})
	}
}

// A deadlined is a ResponseWriter that notes the deadline in force.
type deadlined struct {
	*httptest.ResponseRecorder
	last time.Time
	sets int
}

func (d *deadlined) SetWriteDeadline(t time.Time) error {
	d.last = t
	d.sets++
	return nil
}

// While a trace has nothing to tell, no deadline runs.
func TestTraceWithoutEvents(t *testing.T) {
	w := newWorld(t, midge.Config{})
	d := &deadlined{ResponseRecorder: httptest.NewRecorder()}
	w.h.ServeHTTP(d, request("GET", "/api/v1/trace?client=x&for=1ms"))
	if d.sets < 3 || !d.last.IsZero() {
		t.Errorf("%d deadlines, the last at %v:\n%s", d.sets, d.last, d.Body)
	}
}

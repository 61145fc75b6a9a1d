package admin_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/packet"
)

func names(l admin.List) (all []string) {
	for _, s := range l.Sessions {
		all = append(all, s.Client)
	}
	return all
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		w.connect("b", "bob", "t/#")
		w.connect("a", "alice")
		w.connect("a/..", "")
		w.connect("gone", "gil", "x").Close()
		synctest.Wait()

		for path, want := range map[string][]string{
			"":                        {"a", "a/..", "b"},
			"?limit=1":                {"a"},
			"?find=bob":               {"b"},
			"?find=midge":             {"a", "a/..", "b"}, // the address
			"?state=away":             {"gone"},
			"?state=all&sort=slow":    {"a", "a/..", "b", "gone"},
			"?sort=subscriptions":     {"b", "a", "a/.."},
			"?state=all&find=nothing": nil,
		} {
			l := get[admin.List](w, "/api/v1/clients"+path)
			if got := names(l); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
			if path == "?limit=1" && l.Found != 3 {
				t.Errorf("found %d of 3", l.Found)
			}
		}
		b := get[admin.Session](w, "/api/v1/clients/b")
		if !b.Connected || b.User != "bob" || b.Version != "5.0" || b.KeepAlive != 60000 || b.Subscriptions != 1 ||
			b.In.Packets != 2 || b.Transport != "pipe" || b.Since.IsZero() || b.Rates != nil {
			t.Errorf("%+v", b)
		}
		gone := get[admin.Session](w, "/api/v1/clients?id=gone")
		if gone.Connected || time.Until(gone.Until) != 600*time.Second {
			t.Errorf("%+v", gone)
		}
		for path, want := range map[string]int{
			"/api/v1/clients/a%2F..":     200,
			"/api/v1/clients/nobody":     404,
			"/api/v1/clients?sort=name":  400,
			"/api/v1/clients?limit=0":    400,
			"/api/v1/clients?rates=x":    400,
			"/api/v1/clients?state=here": 400,
			"/api/v1/talkers?by=x":       400,
		} {
			if rec := w.ask("GET", path); rec.Code != want || want != 200 && !strings.Contains(rec.Body.String(), `"do"`) {
				t.Errorf("GET %s: %d %s", path, rec.Code, rec.Body)
			}
		}
	})
}

// Of very many, those asked for are the right ones, though not all are held.
func TestSessionsAreTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		for i := range 300 {
			w.connect(fmt.Sprintf("c%03d", (i*7)%300), "").Close()
		}
		synctest.Wait()
		l := get[admin.List](w, "/api/v1/clients?state=all&limit=3")
		if got := names(l); l.Found != 300 || !slices.Equal(got, []string{"c000", "c001", "c002"}) {
			t.Errorf("%d, %q", l.Found, got)
		}
	})
}

func TestKick(t *testing.T) {
	w := newWorld(t, midge.Config{})
	nc := w.connect("a/b", "")
	if rec := w.ask("DELETE", "/api/v1/clients/"+url.PathEscape("a/b")); rec.Code != 200 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	expect(t, nc, packet.DISCONNECT)
	for path, want := range map[string]int{"/api/v1/clients/nobody": 404, "/api/v1/clients?id=nobody": 404, "/api/v1/clients": 400} {
		if rec := w.ask("DELETE", path); rec.Code != want {
			t.Errorf("DELETE %s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		w.connect("away", "", "t").Close()
		synctest.Wait()
		for path, want := range map[string]int{"?id=away": 404, "?id=away&forget=perhaps": 400} {
			if rec := w.ask("DELETE", "/api/v1/clients"+path); rec.Code != want {
				t.Errorf("DELETE %s: %d %s", path, rec.Code, rec.Body)
			}
		}
		if rec := w.ask("DELETE", "/api/v1/clients/away?forget=true"); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
		if l := get[admin.List](w, "/api/v1/clients?state=all"); l.Found != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// Rates are over what has passed since somebody asked before, and a moment if
// nobody has.
func TestTalkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		loud, bulky, quiet := w.connect("loud", ""), w.connect("bulky", ""), w.connect("quiet", "")
		publish(t, quiet, "before", 1)
		<-time.After(time.Hour)
		start := time.Now()
		said := make(chan admin.List)
		go func() { said <- get[admin.List](w, "/api/v1/talkers") }()
		synctest.Wait()
		for range 8 {
			publish(t, loud, "t", 1)
		}
		publish(t, bulky, "t", 1000)
		l := <-said
		if got := names(l); !slices.Equal(got, []string{"loud", "bulky"}) || time.Since(start) != time.Second {
			t.Errorf("%q after %v", got, time.Since(start))
		}
		if r := l.Sessions[0].Rates; r.MessagesIn != 8 || r.BytesIn != 8*7 || r.MessagesOut != 0 {
			t.Errorf("%+v", r)
		}
		<-time.After(time.Second)
		for range 8 {
			publish(t, loud, "t", 1)
		}
		synctest.Wait()
		start = time.Now()
		l = get[admin.List](w, "/api/v1/talkers?by=bytes&way=in") // since the last sample
		if got := names(l); !slices.Equal(got, []string{"loud"}) || time.Since(start) != 0 || l.Sessions[0].Rates.MessagesIn != 8 {
			t.Errorf("%q after %v, %+v", got, time.Since(start), l.Sessions)
		}
		// One that asks at once again gets the same, not nothing.
		if l = get[admin.List](w, "/api/v1/talkers"); len(l.Sessions) != 1 || l.Sessions[0].Rates.MessagesIn != 8 {
			t.Errorf("%+v", l.Sessions)
		}
		// Nobody asks: nothing is remembered, so nothing of old times is told.
		<-time.After(2 * time.Minute)
		if l = get[admin.List](w, "/api/v1/talkers"); len(l.Sessions) != 0 {
			t.Errorf("%+v", l.Sessions)
		}
		<-time.After(2 * time.Minute) // for the timer to be through
	})
}

// Who asks and gives up leaves the place to others.
func TestTalkersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{})
		w.connect("a", "")
		ctx, cancel := timeout(t, time.Millisecond)
		defer cancel()
		rec := httptest.NewRecorder()
		w.h.ServeHTTP(rec, request("GET", "/api/v1/talkers").WithContext(ctx))
		if rec.Code == 200 {
			t.Error("an answer for one who has gone")
		}
		get[admin.List](w, "/api/v1/talkers")
		<-time.After(2 * time.Minute)
	})
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, midge.Config{WriteTimeout: time.Minute})
		w.connect("away", "", "q").Close()
		w.connect("fine", "", "other")
		w.connect("stalled", "", "t")
		synctest.Wait()
		pub := w.connect("pub", "")
		publish(t, pub, "t", 60<<10) // more than the pipe holds
		m := packet.Publish{Topic: []byte("q"), QoS: 1, ID: 7}
		pub.Write(m.Append(nil, 5))
		expect(t, pub, packet.PUBACK)
		<-time.After(5 * time.Second)
		l := get[admin.List](w, "/api/v1/slow")
		if got := names(l); !slices.Equal(got, []string{"stalled", "away"}) {
			t.Fatalf("%q", got)
		}
		if s := l.Sessions[0]; s.Stalled != 4 || s.QueuedBytes < 60<<10 {
			t.Errorf("%+v", s)
		}
		if s := l.Sessions[1]; s.Queued != 1 {
			t.Errorf("%+v", s)
		}
	})
}

package protect

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// So many connections of an address, whether they say CONNECT or not, and when
// one goes the next may come.
func TestPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{PerAddress: 3})
		a, b := w.in("192.0.2.1", "a"), w.open("192.0.2.1")
		w.in("192.0.2.1", "c")
		for range 20 {
			w.shut("192.0.2.1")
		}
		w.in("192.0.2.2", "d")
		b.Close()
		a.Close()
		synctest.Wait()
		w.in("192.0.2.1", "e")
		w.in("192.0.2.1", "f")
		w.shut("192.0.2.1")
		if n := w.s.Counts(); n.PerAddress != 21 || n.Addresses != 2 {
			t.Errorf("%+v", n)
		}
		if n := w.log.count("limit=per_address"); n != 1 {
			t.Errorf("said %d times, want once", n)
		}
		<-time.After(2 * time.Minute)
		w.shut("192.0.2.1")
		if n := w.log.count("limit=per_address"); n != 2 {
			t.Errorf("said %d times, want once an episode", n)
		}
	})
}

// Those who say nothing leave room for those who do.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{HalfOpen: 2})
		for i := range 10 {
			w.in("192.0.2.1", fmt.Sprint(i))
		}
		w.open("192.0.2.1")
		w.open("192.0.2.1")
		synctest.Wait()
		w.shut("192.0.2.1")
		<-time.After(time.Minute) // they are given up
		w.in("192.0.2.1", "late")
		if n := w.s.Counts(); n.HalfOpen != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// So many clients of a user; one that takes its own place is none too many, and
// of several at the same moment none gets past.
func TestPerUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{PerUser: 2})
		bob := func(id string) client.Options {
			return client.Options{ClientID: id, Username: "bob", Password: []byte("bob")}
		}
		for _, id := range []string{"a", "b", "a"} {
			if _, err := w.come("192.0.2.1", bob(id)); err != nil {
				t.Fatal(id, err)
			}
			synctest.Wait() // it has been counted
		}
		w.refused("192.0.2.2", bob("c"), mqtt.QuotaExceeded, "this user")
		w.in("192.0.2.1", "nobody in particular")
		if n := w.s.Counts(); n.PerUser != 1 || n.Users != 1 {
			t.Errorf("%+v", n)
		}
		for _, c := range w.b.Clients() {
			w.b.Disconnect(c.ClientID, mqtt.AdministrativeAction)
		}
		synctest.Wait()
		if n := w.s.Counts(); n.Users != 0 || n.Addresses != 0 {
			t.Errorf("nobody is there: %+v", n)
		}
	})
}

// Who is beyond the rate waits; who would wait too long is refused.
func TestRate(t *testing.T) {
	for name, c := range map[string]Config{"of all": {Rate: 10}, "of an address": {RatePerAddress: 10}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTown(t, c)
				start := time.Now()
				for i := range 30 {
					w.in("192.0.2.1", fmt.Sprint(i))
				}
				if took := time.Since(start); took < 1900*time.Millisecond || took > 2100*time.Millisecond {
					t.Errorf("30 clients at 10 a second, 10 of them at once, took %v", took)
				}
				for range 60 {
					w.open("192.0.2.1")
				}
				w.shut("192.0.2.1")
				if n := w.s.Counts(); n.Rate < 1 || n.Paced < 19 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// What is changed counts at once.
func TestAdjust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{})
		for i := range 5 {
			w.in("192.0.2.1", fmt.Sprint(i))
		}
		if err := w.s.Adjust(Config{PerAddress: 5}); err != nil {
			t.Fatal(err)
		}
		w.shut("192.0.2.1")
		if err := w.s.Adjust(Config{PerAddress: 6}); err != nil {
			t.Fatal(err)
		}
		w.in("192.0.2.1", "six")
	})
}

// A listener may ask beforehand: it hears no of those whom Accept refuses, and
// asking takes nobody's place.
func TestAdmits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{PerAddress: 2})
		a := &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1}
		for range 200 {
			if !w.s.Admits(a) {
				t.Fatal("there is room")
			}
		}
		w.in("192.0.2.1", "a")
		w.in("192.0.2.1", "b")
		if w.s.Admits(a) || !w.s.Admits(&net.UnixAddr{Name: "s"}) {
			t.Error("two are there, and a third is admitted; or one without an address is not")
		}
		if _, err := w.s.Ban(Ban{Address: prefix(t, "198.51.100.1")}); err != nil {
			t.Fatal(err)
		}
		b := &net.TCPAddr{IP: net.ParseIP("198.51.100.1"), Port: 1}
		if !w.s.Admits(b) {
			t.Error("nobody has been told")
		}
		w.refused("198.51.100.1", client.Options{ClientID: "c"}, mqtt.Banned, "banned")
		if w.s.Admits(b) {
			t.Error("it has been told, and is admitted")
		}
	})
}

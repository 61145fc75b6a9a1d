package protect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// An address that fails to log in is banned, longer each time; others are not,
// nor is who has been there before.
func TestFailedLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{FailedLogins: Tolerance{Count: 3}})
		old := w.in("192.0.2.1", "old")
		for _, span := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			for range 4 {
				w.refused("192.0.2.1", bad("bob"), mqtt.BadUserNameOrPassword, "")
			}
			w.refused("192.0.2.1", bad("bob"), mqtt.Banned, "failed logins, until 2000-")
			w.shut("192.0.2.1") // it has been told
			w.in("192.0.2.2", "neighbour")
			if all := w.s.Bans(); len(all) != 1 || all[0].Until.Sub(all[0].Since) != span || all[0].Address != netip.MustParsePrefix("192.0.2.1/32") {
				t.Fatalf("%+v, want a ban of %v", all, span)
			}
			<-time.After(span)
		}
		w.in("192.0.2.1", "reformed")
		if old.Err() != nil {
			t.Error("who was there before:", old.Err())
		}
		if n := w.s.Counts(); n.FailedLogins != 12 || n.Imposed != 3 || n.Banned != 6 {
			t.Errorf("%+v", n)
		}
		if n := w.log.count("banned for a while"); n != 3 {
			t.Errorf("said %d times, want once a ban", n)
		}
		<-time.After(2 * time.Hour) // all is forgotten
		for range 4 {
			w.refused("192.0.2.1", bad("bob"), mqtt.BadUserNameOrPassword, "")
		}
		if all := w.s.Bans(); all[0].Until.Sub(all[0].Since) != time.Minute {
			t.Errorf("%+v", all)
		}
	})
}

// What is slow enough is no offence, and IPv6 counts by /64.
func TestToleranceRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{FailedLogins: Tolerance{Count: 3, Within: time.Minute}})
		for range 20 {
			w.refused("2001:db8::1", bad("bob"), mqtt.BadUserNameOrPassword, "")
			<-time.After(20 * time.Second)
		}
		for i := range 4 {
			w.refused(fmt.Sprintf("2001:db8::%d", i), bad("bob"), mqtt.BadUserNameOrPassword, "")
		}
		w.refused("2001:db8::9:9", client.Options{ClientID: "c"}, mqtt.Banned, "")
		w.in("2001:db8:0:1::1", "next door")
		for range 9 {
			w.refused("127.0.0.1", bad("bob"), mqtt.BadUserNameOrPassword, "") // exempt
		}
	})
}

// A flood that is too fast for passwords to be looked at is one, too.
func TestBusyLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{FailedLogins: Tolerance{Count: 2}})
		for range 17 {
			w.refused("192.0.2.1", bad("slow"), mqtt.ServerBusy, "")
		}
		w.refused("192.0.2.1", bad("slow"), mqtt.Banned, "failed logins")
	})
}

// A client that comes and goes is kept out of its address, and nobody else.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{Flaps: Tolerance{Count: 5}})
		for range 6 {
			w.in("192.0.2.1", "moth").Close()
			synctest.Wait()
		}
		w.refused("192.0.2.1", client.Options{ClientID: "moth"}, mqtt.Banned, "flapping")
		w.refused("192.0.2.1", client.Options{ClientID: "moth", Version: mqtt.V311}, mqtt.NotAuthorized, "")
		w.in("192.0.2.1", "other").Close()
		w.in("192.0.2.2", "moth").Close()
		lifted, err := w.s.Unban(Ban{Client: "moth", Address: netip.MustParsePrefix("192.0.2.1/32")})
		if !lifted || err != nil {
			t.Error(lifted, err)
		}
		w.in("192.0.2.1", "moth")
	})
}

// Of two that fight over an identifier the one that has it keeps it; when it
// goes, it is free.
func TestTakeovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{Takeovers: Tolerance{Count: 5}})
		holder := w.in("192.0.2.1", "twin")
		for i := range 6 {
			holder = w.in(fmt.Sprintf("192.0.2.%d", 1+i%2), "twin")
			synctest.Wait()
		}
		w.refused("192.0.2.2", client.Options{ClientID: "twin"}, mqtt.Banned, "takeovers")
		w.refused("192.0.2.1", client.Options{ClientID: "twin"}, mqtt.Banned, "takeovers")
		if holder.Err() != nil {
			t.Error("the holder:", holder.Err())
		}
		holder.Close()
		synctest.Wait()
		w.in("192.0.2.2", "twin")
	})
}

// The table does not grow, and a flood of small offenders does not push out
// who is banned.
func TestOffendersAreBounded(t *testing.T) {
	now := time.Now()
	c, err := Config{Offenders: 64}.resolve()
	if err != nil {
		t.Fatal(err)
	}
	o := newOffenders(c.Offenders)
	villain := o.suspect(failedLogin, "", netip.MustParseAddr("192.0.2.1"))
	for range c.FailedLogins.Count + 1 {
		o.charge(villain, "", c, c.FailedLogins, 1, now)
	}
	for i := range 100_000 {
		home := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		o.charge(o.suspect(failedLogin, "", home), "", c, c.FailedLogins, 1, now.Add(time.Duration(i)))
	}
	if o.find(villain, now.Add(time.Second)) == nil {
		t.Error("the villain is forgotten")
	}
	if len(o.known) > 64 || o.evicted != 100_001-64 {
		t.Errorf("%d are known, %d evicted", len(o.known), o.evicted)
	}
}

// What Config.Offenders says an offender costs.
func TestOffenderMemory(t *testing.T) {
	c, _ := Config{}.resolve()
	now, most := time.Now(), 8192
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	o := newOffenders(most)
	for i := range most {
		home := netip.AddrFrom16([16]byte{0x20, 1, 0, 0, byte(i >> 8), byte(i)})
		o.charge(o.suspect(failedLogin, "", home), "", c, c.FailedLogins, 1, now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapAlloc - before.HeapAlloc) / uint64(most)
	t.Logf("%d bytes an offender", each)
	if each > 400 {
		t.Errorf("%d bytes an offender, want at most 400", each)
	}
	runtime.KeepAlive(&o)
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []Config{
		{Offenders: 3},
		{BanTime: time.Hour, MaxBanTime: time.Minute},
		{BanTime: -1},
		{Flaps: Tolerance{Within: -1}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Ban(Ban{Reason: "whom?"}); !errors.Is(err, errNobody) {
		t.Error(err)
	}
}

// The one that has a contested identifier can prove again who it is.
func TestTakeoversAndReauthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown(t, Config{Takeovers: Tolerance{Count: 1}})
		for range 3 {
			w.in("192.0.2.1", "twin")
			synctest.Wait()
		}
		h := midge.Hooks{Enhanced: func(context.Context, *midge.Connect, string) midge.Exchange { return yes{} }}
		w.s.Install(&h)
		for port, want := range map[int]bool{w.port: true, w.port + 1: false} { // the holder's, and another
			c := &midge.Connect{Remote: midge.Remote{Addr: &net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: port}}, ClientID: "twin"}
			if _, done, err := h.Enhanced(t.Context(), c, "m").Step(t.Context(), nil); done != want || (err == nil) != want {
				t.Errorf("from port %d: %v %v", port, done, err)
			}
		}
	})
}

// yes is an Exchange that lets in.
type yes struct{}

func (yes) Step(context.Context, []byte) ([]byte, bool, error) { return nil, true, nil }

// A long identifier can be unbanned by what is shown of it.
func TestShortenedIsText(t *testing.T) {
	for n := range 4 {
		if got := shorten(strings.Repeat("x", maxName-n) + "\U0001F99F\U0001F99F"); !utf8.ValidString(got) || len(got) > maxName+len("…") {
			t.Errorf("%q", got)
		}
	}
}

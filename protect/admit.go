package protect

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// accept is midge.Hooks.Accept.
func (s *Shield) accept(ctx context.Context, r *midge.Remote) error {
	addr, has := addressOf(r.Addr)
	now := time.Now()
	wait, err := s.enter(addr, has, now)
	if err != nil || wait <= 0 {
		return err
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
		s.closed(r)
		return ctx.Err()
	}
	s.mu.Lock()
	s.count.Paced++
	s.mu.Unlock()
	return nil
}

// Admits reports whether Accept would be asked in vain about a connection from
// a, which is counted as refused then. It does not wait: a listener may ask it
// (transport.Options.Admit) before it does anything for the connection, TLS
// and WebSocket included.
func (s *Shield) Admits(a net.Addr) bool {
	addr, has := addressOf(a)
	set, now := s.set.Load(), time.Now()
	s.mu.Lock()
	defer s.unlock()
	return s.refusedLocked(set, addr, has, now) == nil
}

// refusedLocked says why a connection is not to come in, and counts that.
func (s *Shield) refusedLocked(set *Config, addr netip.Addr, has bool, now time.Time) *midge.Refusal {
	if b := s.bannedLocked("", "", addr, now); b != nil && !b.mayBeTold(now) {
		s.count.Banned++
		return b.refusal()
	}
	if !has || set.exempts(addr) {
		return nil
	}
	home := homeOf(addr)
	here := s.crowds[home]
	switch {
	case set.PerAddress > 0 && int(here.all) >= set.PerAddress:
		s.count.PerAddress++
		return s.overLocked("per_address", home.String(), now)
	case set.HalfOpen > 0 && int(here.all-here.online) >= set.HalfOpen:
		s.count.HalfOpen++
		return s.overLocked("half_open", home.String(), now)
	}
	if o := s.offenders.known[s.offenders.suspect(arrival, "", home)]; o != nil && set.RatePerAddress > 0 {
		if p := (pace{o.at}); p.reserve(set.RatePerAddress, now) > MaxWait {
			s.count.Rate++
			return s.overLocked("rate_per_address", home.String(), now)
		}
	}
	return nil
}

// enter counts a connection, or says why not, and how long it has to wait.
func (s *Shield) enter(addr netip.Addr, has bool, now time.Time) (wait time.Duration, err error) {
	set := s.set.Load()
	s.mu.Lock()
	defer s.unlock()
	if r := s.refusedLocked(set, addr, has, now); r != nil {
		return 0, r
	}
	if b := s.bannedLocked("", "", addr, now); b != nil {
		b.told = now // about to be
	}
	if set.RatePerAddress > 0 && has && !set.exempts(addr) {
		o := s.offenders.get(s.offenders.suspect(arrival, "", homeOf(addr)), now)
		p := pace{o.at}
		wait = p.reserve(set.RatePerAddress, now)
		o.at = p.next
	}
	if set.Rate > 0 {
		p := s.pace
		all := p.reserve(set.Rate, now)
		if all > MaxWait {
			s.count.Rate++
			return 0, s.overLocked("rate", "", now)
		}
		s.pace, wait = p, max(wait, all)
	}
	if has {
		home := homeOf(addr)
		here := s.crowds[home]
		here.all++
		s.crowds[home] = here
	}
	return wait, nil
}

// A pace spreads events evenly, but for as many at once as a second allows.
type pace struct{ next time.Time }

// reserve says how long the next event has to wait.
func (p *pace) reserve(rate int, now time.Time) time.Duration {
	if early := now.Add(-time.Second); p.next.Before(early) {
		p.next = early
	}
	p.next = p.next.Add(time.Second / time.Duration(rate))
	return p.next.Sub(now)
}

// closed is midge.Hooks.Closed.
func (s *Shield) closed(r *midge.Remote) {
	addr, has := addressOf(r.Addr)
	if !has {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowdLocked(addr, -1, 0)
}

func (s *Shield) crowdLocked(addr netip.Addr, all, online int32) {
	home := homeOf(addr)
	here := s.crowds[home]
	here.all += all
	here.online += online
	if here.all <= 0 && here.online <= 0 {
		delete(s.crowds, home)
		return
	}
	s.crowds[home] = here
}

// bannedLocked returns a ban that keeps somebody out. Without a client it is one
// of the address alone.
func (s *Shield) bannedLocked(client, user string, addr netip.Addr, now time.Time) *sentence {
	if b := s.roll.find(client, user, addr, now); b != nil {
		return b
	}
	t := &s.offenders
	if addr.IsValid() && !s.set.Load().exempts(addr) {
		home := homeOf(addr)
		if b := t.find(t.suspect(failedLogin, "", home), now); b != nil {
			return b
		}
		if client != "" {
			return t.find(t.suspect(flap, client, home), now)
		}
	}
	return nil
}

// authenticate is midge.Hooks.Authenticate around inner, which may be nil.
func (s *Shield) authenticate(ctx context.Context, c *midge.Connect, inner func(context.Context, *midge.Connect) error) error {
	if err := s.greet(c); err != nil {
		return err
	}
	claimed := c.Username
	if inner != nil {
		if err := inner(ctx, c); err != nil {
			s.failed(c, err)
			return err
		}
	}
	return s.known(c, claimed)
}

// greet refuses who is banned, whatever the credentials.
func (s *Shield) greet(c *midge.Connect) error {
	addr, _ := addressOf(c.Addr)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bannedLocked(c.ClientID, c.Username, addr, now)
	if b == nil {
		b = s.offenders.find(s.offenders.suspect(takeover, c.ClientID, netip.Addr{}), now)
		if b != nil && !s.held(c) {
			b = nil // whoever comes first may have it
		}
	}
	if b == nil {
		return nil
	}
	s.count.Banned++
	return b.refusal()
}

// held reports whether another client of c's identifier is connected: one that
// re-authenticates takes nothing from itself.
func (s *Shield) held(c *midge.Connect) bool {
	broker := s.broker.Load()
	if broker == nil {
		return true
	}
	holder, on := broker.Client(c.ClientID)
	_, has := addressOf(c.Addr)
	return on && c.Access == nil && !(has && holder.Addr.String() == c.Addr.String())
}

// known refuses a user, as authentication has found it out, that has enough
// clients, or is banned by that name.
func (s *Shield) known(c *midge.Connect, claimed string) error {
	if c.Username == "" {
		return nil
	}
	addr, _ := addressOf(c.Addr)
	set, now := s.set.Load(), time.Now()
	s.mu.Lock()
	defer s.unlock()
	if c.Username != claimed {
		if b := s.roll.find(c.ClientID, c.Username, addr, now); b != nil {
			s.count.Banned++
			return b.refusal()
		}
	}
	if set.PerUser <= 0 || s.users[c.Username] < set.PerUser || s.replaces(c) {
		return nil
	}
	s.count.PerUser++
	return s.overLocked("per_user", c.Username, now)
}

// replaces reports whether the client takes the place of one of the same user.
func (s *Shield) replaces(c *midge.Connect) bool {
	if broker := s.broker.Load(); broker != nil {
		old, on := broker.Client(c.ClientID)
		return on && old.Username == c.Username
	}
	return false
}

// busyWeight is what a login counts that was refused for too many at a time: a
// flood is faster than passwords are looked at, and so is a site after a power
// cut, by much less.
const busyWeight = 1. / 8

// failed counts a login that failed, and no other refusal.
func (s *Shield) failed(c *midge.Connect, err error) {
	weight := 1.
	var r *midge.Refusal
	if errors.As(err, &r) {
		switch r.Code {
		case mqtt.NotAuthorized, mqtt.BadUserNameOrPassword:
		case mqtt.ServerBusy:
			weight = busyWeight
		default:
			return
		}
	}
	addr, has := addressOf(c.Addr)
	set := s.set.Load()
	s.mu.Lock()
	defer s.unlock()
	s.count.FailedLogins++
	if has && !set.exempts(addr) {
		s.chargeLocked(set, failedLogin, "", homeOf(addr), set.FailedLogins, weight)
	}
}

// chargeLocked counts an offence, and says what it brings about.
func (s *Shield) chargeLocked(set *Config, what offence, client string, home netip.Addr, limit Tolerance, weight float64) {
	k := s.offenders.suspect(what, client, home)
	if b := s.offenders.charge(k, client, set, limit, weight, time.Now()); b != nil {
		s.count.Imposed++
		s.notes = append(s.notes, note{"banned for a while", append([]any{"by", b.By}, b.attrs()...)})
	}
}

// connected is midge.Hooks.Connected.
func (s *Shield) connected(c *midge.ClientInfo) {
	set := s.set.Load()
	s.mu.Lock()
	addr, has := addressOf(c.Addr)
	if has {
		s.crowdLocked(addr, 0, 1)
	}
	over, reason := false, mqtt.QuotaExceeded
	if c.Username != "" {
		s.users[c.Username]++
		// Several may have been let in at the same moment.
		if over = set.PerUser > 0 && s.users[c.Username] > set.PerUser; over {
			s.count.PerUser++
			s.overLocked("per_user", c.Username, time.Now())
		}
	}
	// A ban may have come while a password was hashed, and found nobody.
	if s.roll.find(c.ClientID, c.Username, addr, time.Now()) != nil {
		s.count.Banned++
		over, reason = true, mqtt.AdministrativeAction
	}
	s.unlock()
	if broker := s.broker.Load(); over && broker != nil {
		broker.Disconnect(c.ClientID, reason)
	}
}

// disconnected is midge.Hooks.Disconnected.
func (s *Shield) disconnected(c *midge.ClientInfo, reason mqtt.ReasonCode) {
	set := s.set.Load()
	s.mu.Lock()
	defer s.unlock()
	if c.Username != "" {
		if s.users[c.Username]--; s.users[c.Username] <= 0 {
			delete(s.users, c.Username)
		}
	}
	addr, has := addressOf(c.Addr)
	if has {
		s.crowdLocked(addr, 0, -1)
	}
	free := has && set.exempts(addr)
	switch {
	case reason == mqtt.SessionTakenOver:
		s.count.Takeovers++
		if !free {
			s.chargeLocked(set, takeover, c.ClientID, netip.Addr{}, set.Takeovers, 1)
		}
	case flapping(reason):
		s.count.Flaps++
		if has && !free {
			s.chargeLocked(set, flap, c.ClientID, homeOf(addr), set.Flaps, 1)
		}
	}
}

// An exchange is one of inner, for a client that is not banned.
type exchange struct {
	s     *Shield
	c     *midge.Connect
	inner midge.Exchange
}

func (x *exchange) Step(ctx context.Context, data []byte) (reply []byte, done bool, err error) {
	if err := x.s.greet(x.c); err != nil {
		return nil, false, err
	}
	claimed := x.c.Username
	reply, done, err = x.inner.Step(ctx, data)
	if err != nil {
		x.s.failed(x.c, err)
	} else if done {
		err = x.s.known(x.c, claimed)
	}
	return reply, done, err
}

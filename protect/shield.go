// Package protect keeps a broker's clients from being in each other's way: it
// bounds how many connections an address and a user have and how fast they
// come, bans for a while those who fail to log in, flap or fight over an
// identifier, and bans whom an operator names.
//
// A [Shield] sits in the hooks of a broker, in front of those that are there
// already. What it remembers of strangers is a table of a fixed size.
package protect

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// A Shield limits and bans. Its methods may be called from any goroutine; those
// that change bans write File and wait for the disk.
type Shield struct {
	set    atomic.Pointer[Config] // resolved
	broker atomic.Pointer[midge.Broker]

	mu        sync.Mutex
	roll      roll                 // guarded by mu
	offenders offenders            // guarded by mu
	crowds    map[netip.Addr]crowd // guarded by mu, by home
	users     map[string]int       // guarded by mu: their clients
	pace      pace                 // guarded by mu
	episodes  episodes             // guarded by mu
	count     Counts               // guarded by mu
	notes     []note               // guarded by mu

	saving sync.Mutex // one writer of File at a time
}

// A crowd is the connections of one address.
type crowd struct {
	all    int32
	online int32 // of these, those with a client that has been let in
}

// Counts are what a Shield has and what it has done since it was made.
type Counts struct {
	Bans      int `json:"bans"`      // in force
	Addresses int `json:"addresses"` // that have connections
	Users     int `json:"users"`     // that have clients
	Offenders int `json:"offenders"` // remembered

	FailedLogins uint64 `json:"failed_logins"`
	Flaps        uint64 `json:"flaps"`     // clients' connections that ended, takeovers left out
	Takeovers    uint64 `json:"takeovers"` // of an identifier
	Imposed      uint64 `json:"imposed"`   // bans for these
	Evicted      uint64 `json:"evicted"`   // offenders forgotten early, for others

	// Connections refused.
	Banned     uint64 `json:"banned"`
	PerAddress uint64 `json:"per_address"`
	PerUser    uint64 `json:"per_user"`
	HalfOpen   uint64 `json:"half_open"`
	Rate       uint64 `json:"rate"` // after, or instead of, waiting for it

	Paced uint64 `json:"paced"` // connections that waited and were admitted
}

// New makes a Shield, with the bans of cfg.File. A file that is not there is no
// error; one that cannot be read, or written later on, is.
func New(cfg Config) (*Shield, error) {
	c, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	s := &Shield{
		roll: newRoll(), offenders: newOffenders(c.Offenders), crowds: map[netip.Addr]crowd{},
		users: map[string]int{}, episodes: episodes{},
	}
	s.set.Store(c)
	return s, s.load()
}

// Adjust puts another configuration in force, File excepted. Nobody is
// disconnected, and bans last as long as they were to.
func (s *Shield) Adjust(cfg Config) error {
	c, err := cfg.resolve()
	if err != nil {
		return err
	}
	c.File = s.set.Load().File
	s.set.Store(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offenders.most = c.Offenders
	return nil
}

// Protect tells the shield which broker it has been installed in, for Ban to
// find whom it is to disconnect.
func (s *Shield) Protect(b *midge.Broker) { s.broker.Store(b) }

// Install sets the hooks, which ask those that are there already afterwards.
func (s *Shield) Install(h *midge.Hooks) {
	inner := *h
	h.Accept = func(ctx context.Context, r midge.Remote, clients int) error {
		if err := s.accept(ctx, &r); err != nil || inner.Accept == nil {
			return err
		}
		err := inner.Accept(ctx, r, clients)
		if err != nil {
			s.closed(&r)
		}
		return err
	}
	h.Closed = func(r midge.Remote) {
		s.closed(&r)
		if inner.Closed != nil {
			inner.Closed(r)
		}
	}
	h.Authenticate = func(ctx context.Context, c *midge.Connect) error { return s.authenticate(ctx, c, inner.Authenticate) }
	if inner.Enhanced != nil {
		h.Enhanced = func(ctx context.Context, c *midge.Connect, method string) midge.Exchange {
			x := inner.Enhanced(ctx, c, method)
			if x == nil {
				return nil
			}
			return &exchange{s: s, c: c, inner: x}
		}
	}
	h.Connected = func(ctx context.Context, c midge.ClientInfo) {
		s.connected(&c)
		if inner.Connected != nil {
			inner.Connected(ctx, c)
		}
	}
	h.Disconnected = func(ctx context.Context, c midge.ClientInfo, reason mqtt.ReasonCode) {
		s.disconnected(&c, reason)
		if inner.Disconnected != nil {
			inner.Disconnected(ctx, c, reason)
		}
	}
}

// Ban puts a ban in force and disconnects those it is about, which are
// returned. Since and By may be left out. One of the same target is replaced.
// After an error of writing File the ban is in force, and a restart lifts it.
func (s *Shield) Ban(b Ban) (gone []midge.ClientInfo, err error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	if b.Since.IsZero() {
		b.Since = time.Now()
	}
	if b.By == "" {
		b.By = ByOperator
	}
	if b.Address.IsValid() {
		b.Address = clean(b.Address)
	}
	s.mu.Lock()
	s.roll.add(b)
	s.mu.Unlock()
	err = s.save()
	s.set.Load().Logger.Info("banned", b.attrs()...)
	if broker := s.broker.Load(); broker != nil {
		gone = broker.Reauthorize(func(c midge.ClientInfo) error { return b.refuses(&c) })
	}
	return gone, err
}

// Unban lifts the bans of b's Client, User and Address, one that a limit has
// imposed included: its target is told what it did no more. It reports whether
// there was one.
func (s *Shield) Unban(b Ban) (bool, error) {
	t := b.target()
	s.mu.Lock()
	written := s.roll.remove(t)
	lifted := s.offenders.pardon(t, time.Now()) || written
	s.mu.Unlock()
	if lifted {
		s.set.Load().Logger.Info("ban lifted", b.attrs()...)
	}
	if !written {
		return lifted, nil
	}
	return lifted, s.save()
}

// Bans lists those in force, oldest first.
func (s *Shield) Bans() []Ban {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.roll.list(now)
	for _, o := range s.offenders.known {
		if !o.over(now) {
			all = append(all, o.Ban)
		}
	}
	sortBans(all)
	return all
}

// Counts returns them. It looks at all bans and offenders.
func (s *Shield) Counts() Counts {
	bans := len(s.Bans())
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.count
	n.Bans, n.Addresses, n.Users = bans, len(s.crowds), len(s.users)
	n.Offenders, n.Evicted = len(s.offenders.known), s.offenders.evicted
	return n
}

// refuses returns an error for a client that b is about.
func (b *Ban) refuses(c *midge.ClientInfo) error {
	addr, _ := addressOf(c.Addr)
	if b.Client != "" && b.Client != c.ClientID || b.User != "" && b.User != c.Username ||
		b.Address.IsValid() && !b.Address.Contains(addr) {
		return nil
	}
	r := b.refusal()
	r.Code = mqtt.AdministrativeAction // DISCONNECT has no "banned" (5.0, 3.14.2.1)
	return r
}

func (b *Ban) refusal() *midge.Refusal {
	text := "banned"
	if b.Reason != "" {
		text += ": " + b.Reason
	}
	if !b.Until.IsZero() {
		text += ", until " + b.Until.UTC().Format(time.RFC3339)
	}
	return &midge.Refusal{Code: mqtt.Banned, Reason: text, Said: true}
}

// attrs is b for the log.
func (b *Ban) attrs() (all []any) {
	if b.Client != "" {
		all = append(all, "client", b.Client)
	}
	if b.User != "" {
		all = append(all, "user", b.User)
	}
	if b.Address.IsValid() {
		all = append(all, "address", b.Address)
	}
	if b.Reason != "" {
		all = append(all, "reason", b.Reason)
	}
	if !b.Until.IsZero() {
		all = append(all, "until", b.Until.Round(time.Second))
	}
	return all
}

// addressOf is where a connection comes from; false: nowhere that has an
// address.
func addressOf(a net.Addr) (netip.Addr, bool) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	addr := t.AddrPort().Addr().Unmap().WithZone("")
	return addr, addr.IsValid()
}

// contested is the reasons of disconnections that are nobody's flapping.
var contested = []mqtt.ReasonCode{
	mqtt.SessionTakenOver, mqtt.AdministrativeAction, mqtt.ServerShuttingDown, mqtt.Banned,
	mqtt.MaximumConnectTime, mqtt.UseAnotherServer, mqtt.ServerMoved,
}

func flapping(reason mqtt.ReasonCode) bool { return !slices.Contains(contested, reason) }

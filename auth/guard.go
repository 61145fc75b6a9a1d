package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
)

// Anonymous says which clients may come without credentials.
type Anonymous uint8

const (
	AnonymousLocally Anonymous = iota // those of listeners on loopback, unix sockets and pipes
	AnonymousNever
	AnonymousAlways
)

// A Policy says who is let in and what they may do. Do not change one that a
// Guard has.
//
// The zero value lets in whoever comes over a listener that nobody else can
// reach.
type Policy struct {
	// Authenticators are asked in order, until one knows the credentials.
	Authenticators []Authenticator

	// Methods of enhanced authentication.
	Methods []Method

	// Anonymous is about clients without credentials, and, where there are no
	// Authenticators and Methods, about all.
	Anonymous Anonymous

	// Revoked are client certificates that are refused, whatever else the
	// client has to show. nil: none.
	Revoked *Revoked

	// Vouch, where it is not nil, is asked about every connection over TLS, by
	// many goroutines: an error refuses the client, or ends its connection. The
	// handshake has looked at the certificate already; this is for what has
	// changed since.
	Vouch func(state *tls.ConnectionState) error

	// ACL says what they may do; nil: what their credentials say, or, where
	// these say nothing of it, everything.
	ACL *ACL

	// Elsewhere gives some connections another policy, such as those of one
	// listener. It is asked again and again, and always says the same of a
	// connection; nil, and a nil result, is this one.
	Elsewhere func(r midge.Remote) *Policy
}

// at is the policy for a connection.
func (p *Policy) at(r *midge.Remote) *Policy {
	if p.Elsewhere != nil {
		if other := p.Elsewhere(*r); other != nil {
			return other
		}
	}
	return p
}

// A Guard puts a policy into a broker's hooks. Its methods may be called from
// any goroutine.
type Guard struct {
	policy atomic.Pointer[Policy]

	mu     sync.Mutex
	crowds map[midge.Remote]*crowd // guarded by mu, by listener and transport alone
}

// New returns a guard with a policy.
func New(p Policy) *Guard {
	g := new(Guard)
	g.policy.Store(&p)
	g.crowds = map[midge.Remote]*crowd{}
	return g
}

// Policy returns what is in force.
func (g *Guard) Policy() Policy { return *g.policy.Load() }

// Install sets the hooks that let clients in. Those that are set already are
// asked afterwards, and may refuse whom the guard lets in.
func (g *Guard) Install(h *midge.Hooks) {
	next, other := h.Authenticate, h.Enhanced
	h.Authenticate = func(ctx context.Context, c *midge.Connect) error {
		if err := g.authenticate(ctx, c); err != nil || next == nil {
			return err
		}
		return next(ctx, c)
	}
	h.Enhanced = func(ctx context.Context, c *midge.Connect, method string) midge.Exchange {
		for _, m := range g.policy.Load().at(&c.Remote).Methods {
			if m.Name() == method {
				return &exchange{g: g, c: c, steps: m.Begin(c)}
			}
		}
		if other == nil {
			return nil
		}
		return other(ctx, c, method)
	}
}

// Apply puts another policy in force. Clients of b that may stay notice
// nothing but what they may do; the others are disconnected and returned.
func (g *Guard) Apply(b *midge.Broker, p Policy) (gone []midge.ClientInfo) {
	g.policy.Store(&p)
	return b.Reauthorize(g.Stays)
}

// Stays returns an error for a client that may not be there under the policy
// in force. Apply asks it; so can a program whose authenticators have changed,
// with [midge.Broker.Reauthorize].
func (g *Guard) Stays(info midge.ClientInfo) error {
	c, ours := info.Access.(*guest)
	if !ours || c.g != g { // another guard's are its own business
		return nil
	}
	policy, identity := g.policy.Load(), c.identity.Load()
	if err := policy.at(&c.remote).stays(&c.remote, identity); err != nil {
		return fmt.Errorf("%w: %w", err, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "credentials are not valid any more"})
	}
	c.foresee(policy, identity) // authenticators may have changed inside
	return nil
}

// authenticate is midge.Hooks.Authenticate.
func (g *Guard) authenticate(ctx context.Context, c *midge.Connect) error {
	for {
		p := g.policy.Load()
		id, err := p.at(&c.Remote).identify(ctx, c)
		if err != nil {
			return fmt.Errorf("auth: %w", err)
		}
		if p == g.policy.Load() {
			if id != nobody || !g.join(c, p) {
				g.admit(c, id).foresee(p, id)
			}
			return nil
		}
	}
}

// admit tells the broker what it is to know of the client.
func (g *Guard) admit(c *midge.Connect, id *Identity) *guest {
	k := &guest{g: g, id: c.ClientID, remote: c.Remote}
	k.identity.Store(id)
	id.tell(c, k)
	return k
}

func (id *Identity) tell(c *midge.Connect, a midge.Access) {
	c.Access, c.Until = a, id.Until
	c.Username, c.HasUsername = id.User, id.User != ""
}

// identify finds who the client is.
func (p *Policy) identify(ctx context.Context, c *midge.Connect) (*Identity, error) {
	if err := p.vouched(c.TLS); err != nil {
		return nil, err
	}
	for _, a := range p.Authenticators {
		id, err := a.Authenticate(ctx, c)
		if !errors.Is(err, ErrNotMine) {
			return id, err
		}
	}
	if p.checks() && (c.HasUsername || c.Password != nil) {
		return nil, &midge.Refusal{Code: mqtt.BadUserNameOrPassword}
	}
	if !p.anonymous(&c.Remote) {
		return nil, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "credentials are missing"}
	}
	if c.Username == "" {
		return nobody, nil
	}
	return &Identity{User: c.Username}, nil
}

// nobody is who has shown nothing and been let in.
var nobody = new(Identity)

// vouched returns an error for a connection whose certificate is not accepted.
func (p *Policy) vouched(state *tls.ConnectionState) error {
	if err := p.Revoked.check(state); err != nil || p.Vouch == nil || state == nil {
		return err
	}
	return p.Vouch(state)
}

// checks reports whether there is anybody to check credentials: without, user
// names are taken as they are.
func (p *Policy) checks() bool { return len(p.Authenticators)+len(p.Methods) > 0 }

// stays reports whether one who was let in earlier would still be.
func (p *Policy) stays(r *midge.Remote, id *Identity) error {
	if err := p.vouched(r.TLS); err != nil {
		return err
	}
	if id.Proof == nil {
		if !p.anonymous(r) || id.User != "" && p.checks() {
			return errNoLonger
		}
		return nil
	}
	for _, a := range p.Authenticators {
		if err := a.Stays(id); !errors.Is(err, ErrNotMine) {
			return err
		}
	}
	for _, m := range p.Methods {
		if err := m.Stays(id); !errors.Is(err, ErrNotMine) {
			return err
		}
	}
	return errNoLonger
}

var errNoLonger = errors.New("auth: who was let in before is not any more")

func (p *Policy) anonymous(r *midge.Remote) bool {
	switch p.Anonymous {
	case AnonymousAlways:
		return true
	case AnonymousLocally:
		return local(r.Listener)
	}
	return false
}

// isLocal is what local found out last.
var isLocal atomic.Pointer[struct {
	listener string
	local    bool
}]

// local reports whether a listener cannot be reached from elsewhere.
func local(listener string) bool {
	if last := isLocal.Load(); last != nil && last.listener == listener {
		return last.local
	}
	is := parseLocal(listener)
	isLocal.Store(&struct {
		listener string
		local    bool
	}{listener, is})
	return is
}

func parseLocal(listener string) bool {
	u, err := url.Parse(listener)
	switch {
	case err != nil:
		return false
	case u.Scheme == "unix", u.Scheme == "pipe":
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// An exchange is a run of a method.
type exchange struct {
	g     *Guard
	c     *midge.Connect
	steps Steps
}

func (x *exchange) Step(ctx context.Context, data []byte) (reply []byte, done bool, err error) {
	reply, id, err := x.steps.Step(ctx, data)
	if err != nil || id == nil {
		return reply, false, err
	}
	if err := x.g.policy.Load().at(&x.c.Remote).vouched(x.c.TLS); err != nil {
		return nil, false, err
	}
	k, again := x.c.Access.(*guest)
	switch {
	case again && k.identity.Load().User != id.User:
		return nil, false, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "re-authenticated as somebody else"}
	case again:
		k.identity.Store(id)
		x.c.Until = id.Until
	default:
		x.g.admit(x.c, id)
	}
	return reply, true, nil
}

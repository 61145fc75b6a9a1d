package auth

import (
	"net"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/transport"
)

// A crowd is the midge.Access of all who came in by one door as nobody in
// particular, under a policy that lets such clients do everything: there may be
// a million, and they cost nothing each. With the next policy each becomes a
// guest.
type crowd struct {
	// Immutable.
	g      *Guard
	policy *Policy
	door   door
}

// A door is what tells connections apart that have nothing to show.
type door struct {
	listener  string
	transport transport.Kind
}

// maxCrowds bounds the doors a guard remembers; elsewhere everybody is a guest.
const maxCrowds = 64

// join makes c, who is nobody in particular, one of a crowd, if p lets it.
func (g *Guard) join(c *midge.Connect, p *Policy) {
	if p.ACL != nil || p.Elsewhere != nil || c.TLS != nil {
		return
	}
	at := door{c.Listener, c.Transport}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.crowds[at]
	if all == nil && len(g.crowds) >= maxCrowds {
		return
	}
	if all == nil || all.policy != p {
		all = &crowd{g, p, at}
		g.crowds[at] = all
	}
	c.Access = all
}

func (c *crowd) MayPublish([]byte) bool   { return true }
func (c *crowd) MayReceive([]byte) bool   { return true }
func (c *crowd) MaySubscribe(string) bool { return true }

// For is midge.SharedAccess.
func (c *crowd) For(clientID string, r midge.Remote) midge.Access {
	if c.g.policy.Load() == c.policy {
		return c
	}
	if r.Listener == "" {
		r = midge.Remote{Addr: &net.TCPAddr{}, Listener: c.door.listener, Transport: c.door.transport}
	}
	k := &guest{g: c.g, id: clientID, remote: r}
	k.identity.Store(nobody)
	return k
}

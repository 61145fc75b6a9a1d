package auth

import (
	"net"

	"github.com/midgemq/midge"
)

// A crowd is the midge.Access of all who came in by one door as nobody in
// particular, under a policy that lets such clients do everything: there may be
// a million, and they cost nothing each. With the next policy each becomes a
// guest.
type crowd struct {
	// Immutable.
	g      *Guard
	policy *Policy
	door   midge.Remote
}

// maxCrowds bounds the doors a guard remembers; elsewhere everybody is a guest.
const maxCrowds = 64

// join admits c, who is nobody in particular, as one of a crowd, if p lets it.
func (g *Guard) join(c *midge.Connect, p *Policy) bool {
	if p.ACL != nil || p.Elsewhere != nil || c.TLS != nil {
		return false
	}
	at := midge.Remote{Listener: c.Listener, Transport: c.Transport}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.crowds[at]
	if all == nil && len(g.crowds) >= maxCrowds {
		return false
	}
	if all == nil || all.policy != p {
		all = &crowd{g, p, at}
		g.crowds[at] = all
	}
	nobody.tell(c, all)
	return true
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
		r = c.door
		r.Addr = &net.TCPAddr{}
	}
	k := &guest{g: c.g, id: clientID, remote: r}
	k.identity.Store(nobody)
	return k
}

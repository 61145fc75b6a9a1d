package lan

import (
	"time"

	"github.com/soypat/lneto/dhcp/dhcpv4"
	"github.com/soypat/lneto/internet"
)

const (
	firstTry = 4 * time.Second // then doubled
	lastTry  = 64 * time.Second
)

// lease gets an address and keeps it: lneto's client plays one exchange, this
// decides when the next is due. Renewing is an exchange that asks for the
// address we have.
type lease struct {
	client   dhcpv4.Client
	port     internet.StackUDPPort
	mac      [6]byte
	hostname string
	xid      uint32
	wanted   bool

	asking bool
	next   time.Duration // when to ask, or to ask again
	wait   time.Duration // between two tries
	ends   time.Duration // when the address is not ours any more; 0: we have none
}

func (l *lease) configure(c Config) {
	l.mac, l.hostname = c.MAC, c.Hostname
	l.xid = c.Seed | 1
	l.wanted = c.Addr == [4]byte{}
}

func (l *lease) step(s *Stack, now time.Duration) {
	if l.asking && l.client.State() == dhcpv4.StateBound {
		l.bound(s, now)
	}
	if l.ends != 0 && now >= l.ends {
		l.ends = 0
		_ = s.address([4]byte{}) // cannot fail: IPv4 is what ARP was set up for
	}
	if now >= l.next {
		l.ask(s, now)
	}
}

// ask begins an exchange, in place of one that got no answer.
func (l *lease) ask(s *Stack, now time.Duration) {
	if !l.asking {
		l.wait = firstTry
	}
	l.asking = true
	l.next = now + l.wait
	l.wait = min(2*l.wait, lastTry)
	l.xid = l.xid*1664525 + 1013904223 | 1
	l.client.Reset()
	err := l.client.BeginRequest(l.xid, dhcpv4.RequestConfig{
		RequestedAddr: s.Addr(), ClientHardwareAddr: l.mac, Hostname: l.hostname,
	})
	if err != nil {
		return // only for a hostname too long: asked again, and nothing lost
	}
	l.port.SetStackNode(&l.client, nil, dhcpv4.DefaultServerPort)
	_ = s.udp.Register(&l.port) // has room: Reset has just made the last one void
}

// bound takes the address over.
func (l *lease) bound(s *Stack, now time.Duration) {
	l.asking = false
	addr, _ := l.client.AssignedAddr()
	if addr != s.Addr() {
		_ = s.address(addr)
	}
	seconds := func(n uint32) time.Duration { return time.Duration(n) * time.Second }
	life := seconds(l.client.IPLeaseSeconds())
	renew := seconds(l.client.RenewalSeconds())
	if renew == 0 || renew >= life {
		renew = life / 2
	}
	l.next, l.ends = now+max(renew, firstTry), now+life
	if life == 0 { // a server that does not say: ask daily
		l.next, l.ends = now+24*time.Hour, 0
	}
}

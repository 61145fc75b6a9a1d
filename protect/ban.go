package protect

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Ban keeps clients out: those that match each of Client, User and Address
// that is set, of which at least one is.
type Ban struct {
	Client  string       `json:"client,omitempty"` // an identifier
	User    string       `json:"user,omitempty"`
	Address netip.Prefix `json:"address,omitzero"`

	Reason string    `json:"reason,omitempty"` // clients of 5.0 are told
	By     string    `json:"by,omitempty"`     // "operator", or the limit that was met
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"` // zero: until it is lifted
}

// What Ban.By says.
const (
	ByOperator     = "operator"
	ByFailedLogins = "failed logins"
	ByFlaps        = "flapping"
	ByTakeovers    = "takeovers"
)

var errNobody = errors.New("protect: a ban is of a client, a user, an address or several of these together")

// MaxReason is how long Ban.Reason may be, in bytes: it goes into packets.
const MaxReason = 1024

// Check says what is wrong with b; nil if nothing is.
func (b *Ban) Check() error {
	switch {
	case b.Client == "" && b.User == "" && !b.Address.IsValid():
		return errNobody
	case len(b.Reason) > MaxReason || !utf8.ValidString(b.Reason) || strings.ContainsRune(b.Reason, 0):
		return fmt.Errorf("protect: the reason of a ban is text of up to %d bytes", MaxReason)
	}
	return nil
}

// ParseAddress reads an address, "192.0.2.7", or a block, "192.0.2.0/24".
func ParseAddress(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return clean(p), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("protect: %q is no address, such as 192.0.2.7, 2001:db8::/64 or 192.0.2.0/24", text)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// clean is p as addresses are compared: no 4in6, no bits behind the mask.
func clean(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// A target is whom a ban is about.
type target struct {
	client, user string
	address      netip.Prefix
}

func (b *Ban) target() target { return target{b.Client, b.User, clean(b.Address)} }

func (b *Ban) over(now time.Time) bool { return !b.Until.IsZero() && !now.Before(b.Until) }

// A sentence is a ban in force.
type sentence struct {
	Ban
	told time.Time // when somebody was let in last to hear of it
}

// mayBeTold lets one a second of those who are not to come in come as far as
// where they can be told.
func (s *sentence) mayBeTold(now time.Time) bool { return now.Sub(s.told) >= time.Second }

// A roll is the bans somebody has decided on. They are found by hash, once for
// each shape there is: client alone, client at a /24, and so on.
type roll struct {
	bans   map[target]*sentence
	shapes map[shape]int
}

type shape struct {
	client, user, ip4 bool
	bits              int // of the address; -1: none
}

func newRoll() roll { return roll{map[target]*sentence{}, map[shape]int{}} }

func (t *target) shape() shape {
	s := shape{t.client != "", t.user != "", false, -1}
	if t.address.IsValid() {
		s.ip4, s.bits = t.address.Addr().Is4(), t.address.Bits()
	}
	return s
}

func (r *roll) add(b Ban) {
	t := b.target()
	r.remove(t)
	r.bans[t] = &sentence{Ban: b}
	r.shapes[t.shape()]++
}

func (r *roll) remove(t target) bool {
	if r.bans[t] == nil {
		return false
	}
	delete(r.bans, t)
	s := t.shape()
	if r.shapes[s]--; r.shapes[s] == 0 {
		delete(r.shapes, s)
	}
	return true
}

// find returns a ban that matches. addr may be invalid. Without a client it is
// one that is about addresses alone.
func (r *roll) find(client, user string, addr netip.Addr, now time.Time) *sentence {
	for s := range r.shapes {
		if s.client && client == "" || s.user && user == "" {
			continue
		}
		var t target
		if s.bits >= 0 {
			if !addr.IsValid() || addr.Is4() != s.ip4 {
				continue
			}
			t.address, _ = addr.Prefix(s.bits)
		}
		if s.client {
			t.client = client
		}
		if s.user {
			t.user = user
		}
		if b := r.bans[t]; b != nil {
			if !b.over(now) {
				return b
			}
			r.remove(t)
		}
	}
	return nil
}

// list returns those in force.
func (r *roll) list(now time.Time) (all []Ban) {
	for t, b := range r.bans {
		if b.over(now) {
			r.remove(t)
			continue
		}
		all = append(all, b.Ban)
	}
	sortBans(all)
	return all
}

func sortBans(all []Ban) {
	slices.SortFunc(all, func(a, b Ban) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Client, b.Client), cmp.Compare(a.User, b.User), a.Address.Compare(b.Address))
	})
}

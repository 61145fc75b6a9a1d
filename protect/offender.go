package protect

import (
	"hash/maphash"
	"net/netip"
	"time"
	"unicode/utf8"
)

// An offence is what somebody does too often.
type offence uint8

const (
	failedLogin offence = iota
	flap
	takeover
	arrival // no offence: how far an address has used up its rate
)

var byOffence = [...]string{failedLogin: ByFailedLogins, flap: ByFlaps, takeover: ByTakeovers}

// A suspect is who does it. Identifiers are hashed with the process's own key:
// nobody can aim at another's.
type suspect struct {
	offence offence
	client  uint64
	home    netip.Addr
}

// An offender is what is remembered of a suspect.
type offender struct {
	level   float64   // of the bucket that Tolerance refills
	at      time.Time // when level was that; of an arrival, when the next may come
	strikes uint8     // bans so far
	sentence
}

// offenders is a table that does not grow beyond most.
type offenders struct {
	seed    maphash.Seed
	known   map[suspect]*offender
	most    int
	evicted uint64
}

// maxName is how much of an identifier is kept to be shown.
const maxName = 128

func newOffenders(most int) offenders {
	return offenders{seed: maphash.MakeSeed(), known: map[suspect]*offender{}, most: most}
}

func (t *offenders) suspect(what offence, client string, home netip.Addr) suspect {
	k := suspect{offence: what, home: home}
	if client != "" {
		k.client = maphash.String(t.seed, client)
	}
	return k
}

// get returns what is known of a suspect, from now on at the latest.
func (t *offenders) get(k suspect, now time.Time) *offender {
	o := t.known[k]
	if o == nil {
		for len(t.known) >= t.most {
			t.evict(now)
		}
		o = new(offender)
		t.known[k] = o
	}
	return o
}

// evict lets go of the one that did least, and did it longest ago, of a few:
// looking at all would be what a flood of new ones is after.
func (t *offenders) evict(now time.Time) {
	var worst suspect
	var least *offender
	looked := 0
	for k, o := range t.known {
		if least == nil || o.less(least, now) {
			worst, least = k, o
		}
		if looked++; looked == 8 {
			break
		}
	}
	delete(t.known, worst)
	t.evicted++
}

// less reports whether o matters less than p.
func (o *offender) less(p *offender, now time.Time) bool {
	switch a, b := o.over(now), p.over(now); {
	case a != b:
		return a
	case o.strikes != p.strikes:
		return o.strikes < p.strikes
	}
	return o.at.Before(p.at)
}

// over is that of one that has no ban, too.
func (o *offender) over(now time.Time) bool { return o.By == "" || o.Ban.over(now) }

// charge counts an offence, and reports whether it brings a ban about.
func (t *offenders) charge(k suspect, client string, c *Config, limit Tolerance, weight float64, now time.Time) (ban *Ban) {
	if limit.Count < 0 {
		return nil
	}
	o := t.get(k, now)
	if o.By != "" && now.Sub(o.Until) > c.MaxBanTime {
		o.strikes = 0
	}
	o.level = max(0, o.level-float64(limit.Count)*float64(now.Sub(o.at))/float64(limit.Within)) + weight
	o.at = now
	if o.level <= float64(limit.Count) || !o.over(now) {
		return nil
	}
	span := c.MaxBanTime
	if o.strikes < 32 {
		span = min(c.BanTime<<o.strikes, c.MaxBanTime)
		if span < c.BanTime { // shifted out
			span = c.MaxBanTime
		}
		o.strikes++
	}
	o.level = 0
	o.Ban = Ban{Client: shorten(client), By: byOffence[k.offence], Since: now, Until: now.Add(span)}
	o.Reason = o.By
	if k.home.IsValid() {
		o.Address = site(k.home)
	}
	return &o.Ban
}

// find returns the ban of a suspect.
func (t *offenders) find(k suspect, now time.Time) *sentence {
	o := t.known[k]
	if o == nil || o.over(now) {
		return nil
	}
	return &o.sentence
}

// pardon forgets what t has done, and reports whether that had brought a ban
// about. A long identifier is known by what is shown of it, too.
func (t *offenders) pardon(whom target, now time.Time) (lifted bool) {
	k := suspect{offence: failedLogin}
	if whom.address.IsValid() {
		k.home = homeOf(whom.address.Addr())
	}
	switch {
	case whom.client != "" && k.home.IsValid():
		k = t.suspect(flap, whom.client, k.home)
	case whom.client != "":
		k = t.suspect(takeover, whom.client, k.home)
	}
	for have, o := range t.known {
		if o.target() == whom || have == k && whom.user == "" {
			lifted = lifted || !o.over(now)
			delete(t.known, have)
		}
	}
	return lifted
}

func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	end := maxName
	for end > maxName-utf8.UTFMax && !utf8.RuneStart(name[end]) { // what is shown has to be text, to be typed again
		end--
	}
	return name[:end] + "…"
}

// homeOf is what addresses are counted by: IPv4 as it is, IPv6 by its /64.
func homeOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	p, _ := a.Prefix(64)
	return p.Addr()
}

// site is homeOf as a block.
func site(home netip.Addr) netip.Prefix {
	if home.Is4() {
		return netip.PrefixFrom(home, 32)
	}
	return netip.PrefixFrom(home, 64)
}

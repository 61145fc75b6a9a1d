package protect

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// A Config says how much is too much. Addresses of IPv6 count by their /64,
// which is what one site has.
//
// A zero is what its comment names, a negative number turns the thing off.
type Config struct {
	PerAddress int // connections of one address at once; 0: no bound
	PerUser    int // clients of one user name at once; 0: no bound

	// HalfOpen is how many connections of one address may not have been let in
	// yet at once. 0: no bound.
	HalfOpen int

	// Rate is how many connections all together, and RatePerAddress how many
	// those of one address, are admitted in a second; as many may come at once.
	// What is beyond waits, for MaxWait at most, and is refused then.
	Rate           int // 0: no bound
	RatePerAddress int // 0: 50

	// What is tolerated before a ban. FailedLogins are an address's; it is
	// banned. One refused with "server busy" is an eighth of one. Flaps are a client's connections that ended, takeovers left out;
	// its identifier is banned at its address. Takeovers are those of an
	// identifier: who has it at the time keeps it, and nobody can take it.
	FailedLogins Tolerance // 0: 100 within a minute
	Flaps        Tolerance // 0: 100 within a minute
	Takeovers    Tolerance // 0: 15 within a minute

	// BanTime is how long the first ban lasts; each one that follows twice as
	// long as the one before, up to MaxBanTime, after which, without a ban, all
	// is forgotten. 0: a minute, and an hour.
	BanTime, MaxBanTime time.Duration

	// Exempt are addresses that are neither limited nor banned for what they
	// do; Ban bans them, too. nil: loopback, where a proxy may stand for many.
	// Unix sockets and pipes have no address, and no limit by address.
	Exempt []netip.Prefix

	// Offenders is how many addresses and identifiers are remembered for what
	// they did, at some 320 bytes each, [16, 1<<22]; 0: 8192. One more takes
	// the place of one that did little.
	Offenders int

	// File is where Ban keeps what outlives the process. "": nowhere.
	File string

	// Logger hears once of each ban, and of each address or user that meets a
	// limit; nil is slog.Default.
	Logger *slog.Logger
}

// A Tolerance is how often something may happen. It refills steadily: what has
// happened is forgotten at Count within Within.
type Tolerance struct {
	Count  int           // 0: a default; negative: as often as it likes
	Within time.Duration // 0: a minute
}

// MaxWait is how long a connection may wait for Rate and RatePerAddress.
const MaxWait = time.Second

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// WithDefaults is c with every default in place, as New would use it.
func (c Config) WithDefaults() Config {
	d, err := c.resolve()
	if err != nil {
		return c
	}
	return *d
}

// resolve puts defaults in place and names every value that is out of range.
func (c Config) resolve() (*Config, error) {
	var errs []error
	for _, t := range []struct {
		name string
		t    *Tolerance
		def  int
	}{
		{"FailedLogins", &c.FailedLogins, 100},
		{"Flaps", &c.Flaps, 100},
		{"Takeovers", &c.Takeovers, 15},
	} {
		if t.t.Count == 0 {
			t.t.Count = t.def
		}
		if t.t.Within == 0 {
			t.t.Within = time.Minute
		}
		if t.t.Within < 0 {
			errs = append(errs, fmt.Errorf("%s.Within is %v, want more than 0", t.name, t.t.Within))
		}
	}
	if c.RatePerAddress == 0 {
		c.RatePerAddress = 50
	}
	if c.BanTime == 0 {
		c.BanTime = time.Minute
	}
	if c.MaxBanTime == 0 {
		c.MaxBanTime = max(time.Hour, c.BanTime)
	}
	if c.BanTime < 0 || c.MaxBanTime < c.BanTime {
		errs = append(errs, fmt.Errorf("%s is %v, want more than 0 and at most MaxBanTime, which is %v", "BanTime", c.BanTime, c.MaxBanTime))
	}
	if c.Offenders == 0 {
		c.Offenders = 8192
	}
	if c.Offenders < 16 || c.Offenders > 1<<22 {
		errs = append(errs, fmt.Errorf("%s is %d, want 16 to %d", "Offenders", c.Offenders, 1<<22))
	}
	if c.Exempt == nil {
		c.Exempt = loopback
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("protect: config: %w", errors.Join(errs...))
	}
	return &c, nil
}

// exempts reports whether an address is left alone.
func (c *Config) exempts(a netip.Addr) bool {
	for _, p := range c.Exempt {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

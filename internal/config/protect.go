package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/midgemq/midge/protect"
)

// Protect is package protect.
type Protect struct {
	PerAddress     int      `toml:"connections_per_address" live:"yes" help:"Connections of one address at once; of IPv6, of a /64. 0: no bound."`
	HalfOpen       int      `toml:"half_open_per_address" live:"yes" help:"Of these, those that have not been let in yet; 0: no bound."`
	PerUser        int      `toml:"clients_per_user" live:"yes" help:"Clients of one user name at once; 0: no bound."`
	Rate           int      `toml:"connect_rate" live:"yes" help:"Connections admitted in a second; as many may come at once. What is beyond waits, for 1s at most, and is refused then. 0: no bound."`
	RatePerAddress int      `toml:"connect_rate_per_address" live:"yes" help:"The same of one address; 0: no bound."`
	FailedLogins   int      `toml:"failed_logins" live:"yes" help:"Logins of an address that may fail within the time of within, before it is banned; 0: any number."`
	Flaps          int      `toml:"flaps" live:"yes" help:"Connections of a client that may end within that time, before its identifier is banned at its address; 0: any number."`
	Takeovers      int      `toml:"takeovers" live:"yes" help:"Takeovers of a session within that time, before who has it keeps it for a while; 0: any number."`
	Within         Duration `toml:"within" live:"yes" help:"The time that failed_logins, flaps and takeovers are counted in."`
	BanTime        Duration `toml:"ban_time" live:"yes" help:"How long the first such ban lasts. Each that follows lasts twice as long as the one before."`
	MaxBanTime     Duration `toml:"max_ban_time" live:"yes" help:"How long such a ban lasts at most; after as long without one all is forgotten."`
	Exempt         []string `toml:"exempt" live:"yes" help:"Addresses and blocks that no limit of an address is for, and no such ban: those of proxies. What an operator bans is banned there, too."`
	Offenders      int      `toml:"offenders" live:"yes" help:"Addresses and clients remembered for what they did, at some 320 bytes each."`
	BansFile       string   `toml:"bans_file" help:"File for an operator's bans (midge ban). Unsaid: bans.json in [data] dir; without that they end with the process."`
}

func defaultProtect() Protect {
	d := protect.Config{}.WithDefaults()
	p := Protect{
		RatePerAddress: d.RatePerAddress,
		FailedLogins:   d.FailedLogins.Count, Flaps: d.Flaps.Count, Takeovers: d.Takeovers.Count, Within: Duration(d.Flaps.Within),
		BanTime: Duration(d.BanTime), MaxBanTime: Duration(d.MaxBanTime), Offenders: d.Offenders,
	}
	for _, e := range d.Exempt {
		p.Exempt = append(p.Exempt, e.String())
	}
	return p
}

// bansFile is what BansFile is called in the folder of the data.
const bansFile = "bans.json"

// Shield is what the configuration says to package protect, the logger left
// out. It has been checked.
func (c *Config) Shield() protect.Config {
	p := &c.Protect
	file := p.BansFile
	if file == "" && c.Data.Dir != "" {
		file = filepath.Join(c.Data.Dir, bansFile)
	}
	offOr := func(n int) int {
		if n == 0 {
			return -1
		}
		return n
	}
	tolerance := func(n int) protect.Tolerance {
		return protect.Tolerance{Count: offOr(n), Within: time.Duration(p.Within)}
	}
	exempt, _ := p.exempt()
	return protect.Config{
		PerAddress: p.PerAddress, HalfOpen: p.HalfOpen, PerUser: p.PerUser,
		Rate: p.Rate, RatePerAddress: offOr(p.RatePerAddress),
		FailedLogins: tolerance(p.FailedLogins), Flaps: tolerance(p.Flaps), Takeovers: tolerance(p.Takeovers),
		BanTime: time.Duration(p.BanTime), MaxBanTime: time.Duration(p.MaxBanTime),
		Exempt: exempt, Offenders: p.Offenders, File: file,
	}
}

// exempt is not nil: nobody is somebody else than those whom nil is.
func (p *Protect) exempt() ([]netip.Prefix, error) { return blocks(p.Exempt) }

// blocks reads addresses and blocks of them.
func blocks(texts []string) ([]netip.Prefix, error) {
	all := []netip.Prefix{}
	for _, text := range texts {
		b, err := protect.ParseAddress(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no address, such as 192.0.2.7, and no block, such as 192.0.2.0/24", text)
		}
		all = append(all, b)
	}
	return all, nil
}

func (p *Protect) check(fail func(path, format string, args ...any)) {
	for _, n := range []struct {
		key       string
		value     int
		low, high int
	}{
		{"connections_per_address", p.PerAddress, 0, 1 << 30},
		{"half_open_per_address", p.HalfOpen, 0, 1 << 30},
		{"clients_per_user", p.PerUser, 0, 1 << 30},
		{"connect_rate", p.Rate, 0, 1_000_000},
		{"connect_rate_per_address", p.RatePerAddress, 0, 1_000_000},
		{"failed_logins", p.FailedLogins, 0, 1 << 30},
		{"flaps", p.Flaps, 0, 1 << 30},
		{"takeovers", p.Takeovers, 0, 1 << 30},
		{"offenders", p.Offenders, 16, 1 << 22},
	} {
		if n.value < n.low || n.value > n.high {
			fail("protect."+n.key, "%d is not within %d to %d", n.value, n.low, n.high)
		}
	}
	for _, d := range []struct {
		key   string
		value Duration
	}{
		{"within", p.Within},
		{"ban_time", p.BanTime},
		{"max_ban_time", p.MaxBanTime},
	} {
		if d.value < Duration(time.Second) || d.value > Duration(10*8766*time.Hour) {
			fail("protect."+d.key, "%v is not within 1s to ten years", d.value)
		}
	}
	if p.MaxBanTime < p.BanTime {
		fail("protect.max_ban_time", "is less than ban_time")
	}
	if _, err := p.exempt(); err != nil {
		fail("protect.exempt", "%w", err)
	}
}

package admin

import (
	"github.com/midgemq/midge/protect"
)

// protectMetrics are what a Shield counts.
func protectMetrics() []Metric {
	gauge := func(name, help string, f func(*protect.Counts) int) Metric {
		return Metric{Name: "midge_" + name, Help: help, values: counted(func(c *protect.Counts) []value { return []value{{v: float64(f(c))}} })}
	}
	counter := func(name, help string, f func(*protect.Counts) uint64) Metric {
		return Metric{Name: "midge_" + name, Help: help, Counter: true, values: counted(func(c *protect.Counts) []value { return []value{{v: float64(f(c))}} })}
	}
	return []Metric{
		gauge("bans", "Bans in force.", func(c *protect.Counts) int { return c.Bans }),
		gauge("protect_addresses", "Addresses that have connections.", func(c *protect.Counts) int { return c.Addresses }),
		gauge("protect_users", "User names that have clients.", func(c *protect.Counts) int { return c.Users }),
		gauge("protect_offenders", "Addresses and identifiers remembered for what they did.", func(c *protect.Counts) int { return c.Offenders }),
		{Name: "midge_offences_total", Label: "kind", Help: "What, done too often, leads to a ban.", Counter: true, values: counted(func(c *protect.Counts) []value {
			return []value{{"failed_logins", float64(c.FailedLogins)}, {"flaps", float64(c.Flaps)}, {"takeovers", float64(c.Takeovers)}}
		})},
		counter("bans_imposed_total", "Bans for these.", func(c *protect.Counts) uint64 { return c.Imposed }),
		counter("protect_evicted_total", "Offenders forgotten early, for others.", func(c *protect.Counts) uint64 { return c.Evicted }),
		{Name: "midge_turned_away_total", Label: "reason", Help: "Connections refused by bans and by the bounds of [protect].", Counter: true, values: counted(func(c *protect.Counts) []value {
			return []value{
				{"banned", float64(c.Banned)},
				{"per_address", float64(c.PerAddress)},
				{"per_user", float64(c.PerUser)},
				{"half_open", float64(c.HalfOpen)},
				{"rate", float64(c.Rate)},
			}
		})},
		counter("paced_total", "Connections that waited for the rate of connections, and were admitted.", func(c *protect.Counts) uint64 { return c.Paced }),
	}
}

// guarded is what the Shield counts, nil without one.
func (h *Handler) guarded() *protect.Counts {
	if h.shield == nil {
		return nil
	}
	c := h.shield.Counts()
	return &c
}

// counted shows nothing where there is no Shield.
func counted(f func(*protect.Counts) []value) func(*scrape) []value {
	return func(s *scrape) []value {
		if s.shield == nil {
			return nil
		}
		return f(s.shield)
	}
}

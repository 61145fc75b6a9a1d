package admin

import (
	"time"

	"github.com/midgemq/midge"
)

// A Session is one client, connected or away, as the interface tells of it.
type Session struct {
	Client    string `json:"client"` // identifier
	Connected bool   `json:"connected"`

	// Of one that is connected. The counts begin with the connection.

	User       string        `json:"user,omitempty"`
	Address    string        `json:"address,omitempty"`
	Listener   string        `json:"listener,omitempty"`
	Transport  string        `json:"transport,omitempty"`
	Version    string        `json:"version,omitempty"`
	KeepAlive  uint16        `json:"keep_alive,omitempty"` // seconds
	CleanStart bool          `json:"clean_start,omitempty"`
	Since      time.Time     `json:"since,omitzero"`
	In         midge.Traffic `json:"in,omitzero"`
	Out        midge.Traffic `json:"out,omitzero"`
	Dropped    uint64        `json:"dropped,omitempty"`
	Stalled    float64       `json:"stalled,omitempty"` // seconds the client has not taken what is being written
	Rates      *Rates        `json:"rates,omitempty"`   // if they were asked for

	// Of one that is away.

	Until time.Time `json:"until,omitzero"` // when the session ends; absent: never

	Queued        int `json:"queued"`
	QueuedBytes   int `json:"queued_bytes"`
	Inflight      int `json:"inflight"`
	Subscriptions int `json:"subscriptions"`
}

// Rates are what passes a second, over the last moments: see [Client.Sessions].
type Rates struct {
	MessagesIn  float64 `json:"messages_in"`
	MessagesOut float64 `json:"messages_out"`
	BytesIn     float64 `json:"bytes_in"`
	BytesOut    float64 `json:"bytes_out"`
}

func sessionOf(c *midge.ClientStats) Session {
	s := Session{
		Client: c.ClientID, Connected: c.Connected, User: c.Username, Until: c.Until,
		In:      midge.Traffic{Bytes: c.BytesIn, Packets: c.PacketsIn, Messages: c.MessagesIn},
		Out:     midge.Traffic{Bytes: c.BytesOut, Packets: c.PacketsOut, Messages: c.MessagesOut},
		Dropped: c.Dropped, Stalled: c.Stalled.Seconds(),
		Queued: c.Queued, QueuedBytes: c.QueuedBytes, Inflight: c.Inflight, Subscriptions: c.Subscriptions,
	}
	if c.Connected {
		s.Address, s.Listener, s.Transport = addressOf(c), c.Listener, string(c.Transport)
		s.Version, s.KeepAlive, s.CleanStart, s.Since = c.Version.String(), c.KeepAlive, c.CleanStart, c.Since
	}
	return s
}

// addressOf is where a client comes from. Those of a unix socket have no name.
func addressOf(c *midge.ClientStats) string {
	if a := c.Addr.String(); a != "" {
		return a
	}
	return c.Addr.Network()
}

package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/midgemq/midge/protect"
)

// A Ban is what is asked for: who is to be kept out, and how long.
type Ban struct {
	Client  string `json:"client,omitempty"`  // an identifier
	User    string `json:"user,omitempty"`    // a user name
	Address string `json:"address,omitempty"` // or a block: 192.0.2.0/24
	Reason  string `json:"reason,omitempty"`  // clients of 5.0 are told
	For     string `json:"for,omitempty"`     // a duration, such as 90m; empty: until it is lifted
}

// Banned is what became of a Ban.
type Banned struct {
	Ban          protect.Ban `json:"ban"`
	Disconnected []string    `json:"disconnected"` // identifiers of the clients that were
}

// Bans are those in force, oldest first.
type Bans struct {
	Bans []protect.Ban `json:"bans"`
}

// target reads whom b is about.
func (b *Ban) target() (p protect.Ban, err error) {
	p = protect.Ban{Client: b.Client, User: b.User, Reason: b.Reason, By: protect.ByOperator}
	if b.Address != "" {
		if p.Address, err = protect.ParseAddress(b.Address); err != nil {
			return p, &problem{http.StatusBadRequest, err.Error(), "address takes one, 192.0.2.7, or a block, 192.0.2.0/24"}
		}
	}
	if p.Client == "" && p.User == "" && p.Address == (netip.Prefix{}) {
		return p, &problem{http.StatusBadRequest, "whom is it about?", "say client, user or address; of several, all have to match"}
	}
	return p, nil
}

func (h *Handler) bans(w http.ResponseWriter, _ *http.Request) {
	all := h.shield.Bans()
	if all == nil {
		all = []protect.Ban{}
	}
	answer(w, http.StatusOK, Bans{all})
}

func (h *Handler) ban(w http.ResponseWriter, r *http.Request) {
	var b Ban
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		fail(w, &problem{http.StatusBadRequest, "the ban cannot be read: " + err.Error(), `POST {"client": "x", "for": "90m", "reason": "..."}, with any of client, user and address`})
		return
	}
	p, err := b.target()
	if err == nil && b.For != "" {
		var span time.Duration
		if span, err = time.ParseDuration(b.For); err != nil || span <= 0 {
			err = &problem{http.StatusBadRequest, fmt.Sprintf("for=%q is no time to come", b.For), "for takes 90m, 24h and the like; without it the ban lasts until it is lifted"}
		}
		p.Until = time.Now().Add(span)
	}
	if err == nil && p.Check() != nil {
		err = &problem{http.StatusBadRequest, p.Check().Error(), "shorten the reason, or leave it out"}
	}
	if err != nil {
		fail(w, err)
		return
	}
	p.Since = time.Now()
	gone, err := h.shield.Ban(p)
	if err != nil {
		fail(w, &problem{http.StatusInternalServerError, err.Error(), "the ban may be in force and not outlive a restart; see the log of the broker"})
		return
	}
	result := Banned{Ban: p, Disconnected: []string{}}
	for i := range gone {
		result.Disconnected = append(result.Disconnected, gone[i].ClientID)
	}
	h.log.Info("banned by an administrator", "client", p.Client, "user", p.User, "address", b.Address, "for", b.For, "by", r.RemoteAddr)
	answer(w, http.StatusCreated, result)
}

func (h *Handler) unban(w http.ResponseWriter, r *http.Request) {
	b := Ban{Client: r.FormValue("client"), User: r.FormValue("user"), Address: r.FormValue("address")}
	p, err := b.target()
	if err != nil {
		fail(w, err)
		return
	}
	lifted, err := h.shield.Unban(p)
	switch {
	case err != nil:
		fail(w, &problem{http.StatusInternalServerError, err.Error(), "the ban is lifted until a restart; see the log of the broker"})
		return
	case !lifted:
		fail(w, &problem{http.StatusNotFound, "there is no such ban", "GET /api/v1/bans lists those there are"})
		return
	}
	h.log.Info("ban lifted by an administrator", "client", p.Client, "user", p.User, "address", b.Address, "by", r.RemoteAddr)
	answer(w, http.StatusOK, map[string]bool{"lifted": true})
}

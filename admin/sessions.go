package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/protect"
)

// A Query chooses sessions. Its zero value is the first 100 connected clients
// by identifier.
type Query struct {
	State string // connected (or empty), away, or all
	Find  string // in the identifier, the user or the address; empty: all
	Sort  string // one of Sorts; empty: client
	Limit int    // [1, 10000]; 0: 100
	Rates bool   // say what passes a second; the first to ask waits a second
}

// A List is what a Query found.
type List struct {
	At       time.Time `json:"at"`
	Found    int       `json:"found"` // of them Sessions holds as many as was asked for
	Sessions []Session `json:"sessions"`
}

const (
	usualLimit = 100
	mostLimit  = 10_000
)

// order says which of two sessions comes first: less than 0 is x.
type order func(x, y *Session) int

// orders are what a list can be sorted by; each but the first puts what is
// most first. Those of rates need them.
var orders = map[string]order{
	"client": func(x, y *Session) int { return strings.Compare(x.Client, y.Client) },
	"since":  func(x, y *Session) int { return y.Since.Compare(x.Since) },
	"queue": func(x, y *Session) int {
		return cmp.Or(cmp.Compare(y.QueuedBytes, x.QueuedBytes), cmp.Compare(y.Queued, x.Queued))
	},
	"subscriptions": func(x, y *Session) int { return cmp.Compare(y.Subscriptions, x.Subscriptions) },
	"dropped":       func(x, y *Session) int { return cmp.Compare(y.Dropped, x.Dropped) },
	"slow":          slowest,
	"messages":      func(x, y *Session) int { return cmp.Compare(y.Rates.messages("both"), x.Rates.messages("both")) },
	"messages-in":   func(x, y *Session) int { return cmp.Compare(y.Rates.messages("in"), x.Rates.messages("in")) },
	"messages-out":  func(x, y *Session) int { return cmp.Compare(y.Rates.messages("out"), x.Rates.messages("out")) },
	"bytes":         func(x, y *Session) int { return cmp.Compare(y.Rates.bytes("both"), x.Rates.bytes("both")) },
	"bytes-in":      func(x, y *Session) int { return cmp.Compare(y.Rates.bytes("in"), x.Rates.bytes("in")) },
	"bytes-out":     func(x, y *Session) int { return cmp.Compare(y.Rates.bytes("out"), x.Rates.bytes("out")) },
}

// Sorts are the orders of a Query.
func Sorts() []string {
	var all []string
	for name := range orders {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func fullest(x, y *Session) int {
	return cmp.Or(cmp.Compare(y.QueuedBytes, x.QueuedBytes), cmp.Compare(y.Queued, x.Queued))
}

// slowest is the longest stalled, and then the longest queue.
func slowest(x, y *Session) int {
	return cmp.Or(cmp.Compare(y.Stalled, x.Stalled), fullest(x, y), cmp.Compare(y.Dropped, x.Dropped))
}

// behind reports whether a client does not keep up.
func (s *Session) behind() bool { return s.Stalled > 0 || s.Queued > 0 || s.Dropped > 0 }

func (r *Rates) messages(way string) float64 { return sum(way, r.MessagesIn, r.MessagesOut) }
func (r *Rates) bytes(way string) float64    { return sum(way, r.BytesIn, r.BytesOut) }

func sum(way string, in, out float64) float64 {
	switch way {
	case "in":
		return in
	case "out":
		return out
	}
	return in + out
}

// parseQuery reads a Query from a URL.
func parseQuery(v url.Values) (q Query, err error) {
	q = Query{State: v.Get("state"), Find: v.Get("find"), Sort: v.Get("sort")}
	if q.Rates, err = truthOf(v.Get("rates"), "rates"); err != nil {
		return q, err
	}
	if s := v.Get("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 {
			return q, &problem{http.StatusBadRequest, fmt.Sprintf("limit=%s is no number of sessions", s), fmt.Sprintf("want 1 to %d", mostLimit)}
		}
	}
	return q, nil
}

// truthOf reads what may be left out.
func truthOf(text, name string) (bool, error) {
	if text == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, &problem{http.StatusBadRequest, fmt.Sprintf("%s=%s is neither true nor false", name, text), "leave it out, or say " + name + "=true"}
	}
	return v, nil
}

// check puts defaults in place.
func (q *Query) check() error {
	q.State, q.Sort = cmp.Or(q.State, "connected"), cmp.Or(q.Sort, "client")
	q.Limit = min(cmp.Or(q.Limit, usualLimit), mostLimit)
	if orders[q.Sort] == nil {
		return &problem{http.StatusBadRequest, fmt.Sprintf("sessions cannot be sorted by %q", q.Sort), "sort= takes " + strings.Join(Sorts(), ", ")}
	}
	if q.State != "connected" && q.State != "away" && q.State != "all" {
		return &problem{http.StatusBadRequest, fmt.Sprintf("no session is in the state %q", q.State), "state= takes connected, away, all"}
	}
	q.Rates = q.Rates || strings.HasPrefix(q.Sort, "messages") || strings.HasPrefix(q.Sort, "bytes")
	return nil
}

func (q *Query) wants(s *Session) bool {
	if q.State != "all" && s.Connected != (q.State == "connected") {
		return false
	}
	return q.Find == "" || strings.Contains(s.Client, q.Find) || strings.Contains(s.User, q.Find) || strings.Contains(s.Address, q.Find)
}

// find answers a query. also, if it is not nil, has to be true, too.
func (h *Handler) find(ctx context.Context, q Query, also func(*Session) bool) (*List, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	list := &List{At: time.Now(), Sessions: []Session{}}
	order := orders[q.Sort]
	first := func(x, y Session) int { return cmp.Or(order(&x, &y), strings.Compare(x.Client, y.Client)) }
	trim := func() {
		slices.SortFunc(list.Sessions, first)
		list.Sessions = list.Sessions[:min(q.Limit, len(list.Sessions))]
	}
	take := func(c *midge.ClientStats, rates *Rates) {
		s := sessionOf(c)
		if s.Rates = rates; !q.wants(&s) || also != nil && !also(&s) {
			return
		}
		list.Found++
		if list.Sessions = append(list.Sessions, s); len(list.Sessions) >= 2*q.Limit+100 {
			trim() // of a million, what was asked for is held, and a little
		}
	}
	if q.Rates {
		if err := h.watch.each(ctx, take); err != nil {
			return nil, err
		}
	} else {
		for c := range h.b.Sessions() {
			take(&c, nil)
		}
	}
	trim()
	return list, nil
}

func (h *Handler) list(w http.ResponseWriter, r *http.Request, q Query, also func(*Session) bool) {
	list, err := h.find(r.Context(), q, also)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, list)
}

func (h *Handler) clients(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("id") != "" {
		h.client(w, r)
		return
	}
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	h.list(w, r, q, nil)
}

func (h *Handler) slow(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	q.Sort, q.State = "slow", cmp.Or(q.State, "all")
	h.list(w, r, q, (*Session).behind)
}

func (h *Handler) talkers(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	by, way := cmp.Or(r.FormValue("by"), "messages"), cmp.Or(r.FormValue("way"), "both")
	if by != "messages" && by != "bytes" || way != "in" && way != "out" && way != "both" {
		fail(w, &problem{http.StatusBadRequest, fmt.Sprintf("by=%s&way=%s is no order of talkers", by, way), "by= takes messages, bytes; way= takes in, out, both"})
		return
	}
	if q.Sort = by; way != "both" {
		q.Sort += "-" + way
	}
	h.list(w, r, q, func(s *Session) bool { return s.Rates.messages(way) > 0 || s.Rates.bytes(way) > 0 })
}

// client and kick take an identifier in the path, or, as one may be "..", in
// the query.
func idOf(r *http.Request) string { return cmp.Or(r.PathValue("id"), r.FormValue("id")) }

func (h *Handler) client(w http.ResponseWriter, r *http.Request) {
	c, ok := h.b.Client(idOf(r))
	if !ok {
		fail(w, unknown(idOf(r)))
		return
	}
	answer(w, http.StatusOK, sessionOf(&c))
}

func unknown(id string) *problem {
	return &problem{http.StatusNotFound, fmt.Sprintf("there is no client %q", id), "GET /api/v1/clients?state=all&find=TEXT looks for one"}
}

func (h *Handler) kick(w http.ResponseWriter, r *http.Request) {
	id := idOf(r)
	if id == "" {
		fail(w, &problem{http.StatusBadRequest, "which client?", "DELETE /api/v1/clients/ID, or /api/v1/clients?id=ID"})
		return
	}
	forget, err := truthOf(r.FormValue("forget"), "forget")
	if err != nil {
		fail(w, err)
		return
	}
	act, done := func(id string) bool { return h.b.Disconnect(id, mqtt.AdministrativeAction) }, "disconnected"
	if forget {
		act, done = h.b.Forget, "forgotten"
	}
	if !act(id) {
		fail(w, unknown(id))
		return
	}
	h.log.Info("client "+done+" by an administrator", "client", id, "by", r.RemoteAddr)
	answer(w, http.StatusOK, map[string]string{done: id})
}

// Counts is what GET /api/v1/stats tells.
type Counts struct {
	At      time.Time       `json:"at"`
	Ready   bool            `json:"ready"`
	Broker  midge.Stats     `json:"broker"`
	Shield  *protect.Counts `json:"shield,omitempty"`
	Process Process         `json:"process"`
}

func (h *Handler) stats(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, Counts{time.Now(), h.notReady() == nil, h.b.Stats(), h.guarded(), readProcess()})
}

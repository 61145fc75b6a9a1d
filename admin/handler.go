package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/protect"
)

// A Config says what a Handler shows, and to whom.
type Config struct {
	// Broker is the one that is shown.
	Broker *midge.Broker

	// Token is what a request has to bear (Authorization: Bearer TOKEN), health
	// checks left out. Empty: nobody but this machine may ask, over loopback or
	// a unix socket. SetToken changes it.
	Token string

	// Shield is what bans are those of; nil: there are none.
	Shield *protect.Shield

	// Ready adds a condition to the broker's own; nil: there is none. It is
	// called for each /readyz and /metrics, and should not block.
	Ready func() error

	// Profiles offers those of the Go runtime below /debug/pprof/. They show
	// addresses and names of functions, and taking one costs time.
	Profiles bool

	// Logger hears of those who may not ask, once each, and of those who are
	// disconnected. nil is slog.Default.
	Logger *slog.Logger
}

// A Handler serves one broker. Its methods may be called from any goroutine.
type Handler struct {
	// Immutable.
	b      *midge.Broker
	shield *protect.Shield // nil: no bans
	ready  func() error
	log    *slog.Logger
	open   *http.ServeMux // for everyone
	mux    *http.ServeMux // for those who may
	index  []page

	gate  gate
	watch watch
}

// A page is one thing that can be asked for.
type page struct{ pattern, brief string }

// New makes a Handler. It starts nothing, and ends with the broker.
func New(cfg Config) *Handler {
	h := &Handler{
		b: cfg.Broker, shield: cfg.Shield, ready: cfg.Ready, log: cfg.Logger,
		open: http.NewServeMux(), mux: http.NewServeMux(),
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.gate.log = h.log
	h.watch.b, h.watch.free = cfg.Broker, make(chan struct{}, 1)
	h.SetToken(cfg.Token)

	h.open.HandleFunc("GET /healthz", h.health)
	h.open.HandleFunc("GET /readyz", h.readiness)
	h.offer("GET /healthz", "whether the broker answers; no token", h.health)
	h.offer("GET /readyz", "whether it should get new clients; no token", h.readiness)
	h.offer("GET /metrics", "everything there is to count, for Prometheus", h.metrics)
	h.offer("GET /api/v1/stats", "the same as JSON", h.stats)
	h.offer("GET /api/v1/clients", "sessions: ?state= find= sort= limit= rates=", h.clients)
	h.offer("GET /api/v1/clients/{id}", "one session; or ?id=", h.client)
	h.offer("DELETE /api/v1/clients/{id}", "disconnect it; or ?id=; forget=true ends its session, too", h.kick)
	h.offer("DELETE /api/v1/clients", "", h.kick)
	h.offer("GET /api/v1/slow", "subscribers that do not keep up, the worst first: ?limit=", h.slow)
	h.offer("GET /api/v1/talkers", "who sends and gets most: ?by=messages|bytes&way=in|out|both&limit=", h.talkers)
	if cfg.Shield != nil {
		h.offer("GET /api/v1/bans", "who is kept out", h.bans)
		h.offer("POST /api/v1/bans", `keep out, and disconnect: {"client": "x"}, or user, or address; for, reason`, h.ban)
		h.offer("DELETE /api/v1/bans", "lift one: ?client= user= address=", h.unban)
	}
	h.offer("GET /api/v1/trace", "what happens now, an event a line: ?client= user= address= topic= packets= payload= for= events=", h.trace)
	if cfg.Profiles {
		h.offer("GET /debug/pprof/", "profiles of the Go runtime, for go tool pprof", h.profiles)
		h.offer("GET /debug/pprof/{name}", "", h.profile)
	}
	h.mux.HandleFunc("/", h.front)
	return h
}

// offer adds a page. One without a brief is another form of the one before.
func (h *Handler) offer(pattern, brief string, f http.HandlerFunc) {
	h.mux.HandleFunc(pattern, f)
	if brief != "" {
		h.index = append(h.index, page{pattern, brief})
	}
}

// SetToken changes what requests have to bear from now on; see [Config.Token].
func (h *Handler) SetToken(token string) { h.gate.set(token) }

// How long somebody may take to send what belongs to a request, and to take the
// answer; those who need more time for one set another limit.
const (
	bodyPatience   = 10 * time.Second
	answerPatience = time.Minute
)

// ServeHTTP answers one request. Whoever sends or takes it too slowly is cut
// off, token or not, if the server's connections have deadlines.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limits := http.NewResponseController(w) // an error is a ResponseWriter without
	limits.SetWriteDeadline(time.Now().Add(answerPatience))
	if r.Body != nil && r.Body != http.NoBody {
		limits.SetReadDeadline(time.Now().Add(bodyPatience))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, pattern := h.open.Handler(r); pattern != "" {
		h.open.ServeHTTP(w, r)
		return
	}
	if err := h.gate.admit(r); err != nil {
		if err.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="midge"`)
		}
		fail(w, err)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// front lists what there is, and answers for what there is not.
func (h *Handler) front(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		fail(w, &problem{http.StatusNotFound, "there is no " + r.Method + " " + r.URL.Path, "GET / lists what there is"})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "midge %s\n\n", midge.Version)
	for _, p := range h.index {
		fmt.Fprintf(w, "%-34s %s\n", p.pattern, p.brief)
	}
}

// A problem is what a request fails by, and what to do about it.
type problem struct {
	status      int
	Text        string `json:"error"`
	Instruction string `json:"do"`
}

func (p *problem) Error() string { return p.Text }

// fail answers with a problem; any other error is the request's fault.
func fail(w http.ResponseWriter, err error) {
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{http.StatusBadRequest, err.Error(), "GET / lists what there is"}
	}
	answer(w, p.status, p)
}

// answer writes v as JSON, one key a line: it is read by people, too.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	e.Encode(v) // an error is a client that has gone
}

// once lets each key through a first time, and forgets them all when they are
// many.
type once struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

func (o *once) first(key string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen[key] {
		return false
	}
	if o.seen == nil || len(o.seen) >= 1000 {
		o.seen = map[string]bool{}
	}
	o.seen[key] = true
	return true
}

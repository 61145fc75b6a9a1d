// Package web asks an HTTP service who a client is and what it may do.
//
// The service gets a POST with a [Request] as JSON and answers with a
// [Response]. 401 and 403 refuse, 204 says that it does not know the client;
// every other status but 200, a response that is no such JSON, and no response
// in time, are a service that is down.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/internal/flight"
	"github.com/midgemq/midge/internal/gate"
	"github.com/midgemq/midge/mqtt"
)

// A Config says whom to ask, and how often.
//
// In every number the zero is the default its comment names, and a negative
// value turns the thing off.
type Config struct {
	URL    string      // http or https; what goes there are passwords
	Header http.Header // of each request, such as Authorization
	Client *http.Client

	Timeout     time.Duration // of a request; 0: 5 s; it cannot be off
	TTL         time.Duration // how long an answer that lets in is remembered; 0: 1 minute
	NegativeTTL time.Duration // how long one that does not is; 0: 10 s
	MaxCached   int           // answers remembered, [1, 1<<24]; 0: 10,000
	MaxInFlight int           // requests at a time, [1, 10000]; 0: 32
	MaxWaiting  int           // clients that wait for their turn, an eighth of them from one address, [1, 1<<20]; 0: 1024; one more is refused with "server busy"

	// WhenDown is what becomes of a client while the service is down: refused
	// with "server unavailable", or left to the next authenticator.
	WhenDown WhenDown
}

// WhenDown is what to do without an answer.
type WhenDown uint8

const (
	Refuse  WhenDown = iota // nobody comes in who is not remembered
	AskNext                 // the next authenticator is asked, as if the service did not know the client
)

// A Request is what the service is told.
type Request struct {
	Username   string `json:"username"`
	Password   string `json:"password"` // if it is no UTF-8, with U+FFFD in it
	ClientID   string `json:"clientid"`
	Address    string `json:"address"` // host:port
	Listener   string `json:"listener"`
	Transport  string `json:"transport"`
	Protocol   string `json:"protocol"`              // 3.1, 3.1.1 or 5.0
	CommonName string `json:"common_name,omitempty"` // of a client certificate that was verified
}

// A Response is its answer.
type Response struct {
	Result    string   `json:"result"`             // allow, deny or ignore: not known here
	User      string   `json:"user"`               // what rules call the client; "": Username
	Groups    []string `json:"groups"`             // that it is in
	Publish   []string `json:"publish,omitzero"`   // filters it may publish to; %c and %u may be in them
	Subscribe []string `json:"subscribe,omitzero"` // filters it may subscribe to and be sent; with neither list the policy's rules decide
	ExpiresAt int64    `json:"expires_at"`         // Unix seconds: the connection ends then; 0: it does not
	Reason    string   `json:"reason"`             // of a deny, for the log
}

// A Service is an [auth.Authenticator]. It remembers answers under the whole
// of what was asked, but for the client's port; how long is up to Config.
type Service struct {
	set    Config
	flight flight.Group[key, Response]
	gate   *gate.Gate
	cache  *cache
}

// Open checks the configuration. It asks the service nothing.
func Open(c Config) (*Service, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("auth/web: URL: %w", withoutURL(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("auth/web: URL %q is none of http or https", u.Redacted())
	}
	var errs []error
	number := func(name string, v *int, def, high int) {
		switch {
		case *v == 0:
			*v = def
		case *v < 1 || *v > high:
			errs = append(errs, fmt.Errorf("auth/web: %s is %d, want 1 to %d", name, *v, high))
		}
	}
	number("MaxCached", &c.MaxCached, 10_000, 1<<24)
	number("MaxInFlight", &c.MaxInFlight, 32, 10_000)
	number("MaxWaiting", &c.MaxWaiting, 1024, 1<<20)
	for _, span := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.Timeout, 5 * time.Second}, {&c.TTL, time.Minute}, {&c.NegativeTTL, 10 * time.Second}} {
		if *span.v == 0 {
			*span.v = span.def
		}
	}
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("auth/web: Timeout is %v, and there has to be one", c.Timeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if c.Client == nil {
		// A redirect would carry passwords elsewhere.
		c.Client = &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: c.MaxInFlight, IdleConnTimeout: time.Minute, Proxy: http.ProxyFromEnvironment},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Service{set: c, gate: gate.New(c.MaxInFlight, c.MaxWaiting), cache: newCache(c.MaxCached)}, nil
}

// Close ends connections that are kept open for the next request.
func (s *Service) Close() { s.set.Client.CloseIdleConnections() }

// Forget drops every remembered answer: the service has changed its mind.
func (s *Service) Forget() { s.cache.clear() }

// webProof is what an answer was asked for.
type webProof struct{ url string }

// Stays is [auth.Authenticator]. Who was let in stays, as long as the policy
// has the service, and until the time the service gave.
func (s *Service) Stays(id *auth.Identity) error {
	if id.Proof != (webProof{s.set.URL}) {
		return auth.ErrNotMine
	}
	return nil
}

// Authenticate is [auth.Authenticator].
func (s *Service) Authenticate(ctx context.Context, c *midge.Connect) (*auth.Identity, error) {
	if !c.HasUsername && c.Password == nil && (c.TLS == nil || len(c.TLS.VerifiedChains) == 0) {
		return nil, auth.ErrNotMine
	}
	q := requestOf(c)
	key := s.cache.key(&q, c.Password)
	if a, ok := s.cache.get(key, time.Now()); ok {
		return s.judge(&q, a, nil)
	}
	from := gate.Source(c.Addr)
	a, err := s.flight.Do(ctx, key, func(ctx context.Context) (Response, error) {
		a, err := s.ask(ctx, &q, from)
		if err != nil {
			return a, err
		}
		ttl := s.set.TTL
		if a.Result != "allow" {
			ttl = s.set.NegativeTTL
		}
		now := time.Now()
		if end := time.Unix(a.ExpiresAt, 0); a.ExpiresAt != 0 && end.Sub(now) < ttl {
			ttl = end.Sub(now) // behind it the service may say something new
		}
		s.cache.put(key, a, now, ttl)
		return a, nil
	})
	return s.judge(&q, a, err)
}

// judge turns an answer, or the lack of one, into what becomes of the client.
func (s *Service) judge(q *Request, a Response, err error) (*auth.Identity, error) {
	switch {
	case errors.Is(err, errBusy):
		return nil, err
	case err != nil && s.set.WhenDown == AskNext, err == nil && a.Result == "ignore":
		return nil, auth.ErrNotMine
	case err != nil:
		return nil, fmt.Errorf("auth/web: the service is down: %w: %w", err, &midge.Refusal{Code: mqtt.ServerUnavailable, Reason: "logins cannot be checked at the moment"})
	case a.Result != "allow":
		return nil, fmt.Errorf("auth/web: denied: %s: %w", a.Reason, &midge.Refusal{Code: mqtt.BadUserNameOrPassword})
	}
	id := &auth.Identity{User: a.User, Groups: a.Groups, Proof: webProof{s.set.URL}}
	if id.User == "" {
		id.User = q.Username
	}
	if a.ExpiresAt != 0 {
		id.Until = time.Unix(a.ExpiresAt, 0)
	}
	if a.Publish != nil || a.Subscribe != nil {
		id.Permissions = &auth.Permissions{Publish: slices.Clone(a.Publish), Subscribe: slices.Clone(a.Subscribe)}
	}
	return id, nil
}

func requestOf(c *midge.Connect) Request {
	q := Request{
		Username: c.Username, Password: string(bytes.ToValidUTF8(c.Password, []byte("\ufffd"))), ClientID: c.ClientID,
		Listener: c.Listener, Transport: string(c.Transport), Protocol: c.Version.String(),
	}
	if c.Addr != nil {
		q.Address = c.Addr.String()
	}
	if c.TLS != nil && len(c.TLS.VerifiedChains) > 0 {
		q.CommonName = c.TLS.VerifiedChains[0][0].Subject.CommonName
	}
	return q
}

// errBusy is a queue that is full.
var errBusy = &midge.Refusal{Code: mqtt.ServerBusy, Reason: "too many are logging in"}

// maxAnswer is how much of an answer is read, bytes.
const maxAnswer = 1 << 20

// ask makes one request, when it is its turn. Waiting counts.
func (s *Service) ask(ctx context.Context, q *Request, from string) (a Response, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.set.Timeout)
	defer cancel()
	if err := s.gate.Enter(ctx, from); errors.Is(err, gate.ErrFull) {
		return a, errBusy
	} else if err != nil {
		return a, err
	}
	defer s.gate.Leave()
	body, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.set.URL, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	for name, values := range s.set.Header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := s.set.Client.Do(r)
	if err != nil {
		return a, withoutURL(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return a, err
	}
	return parse(res, data)
}

// withoutURL takes the URL out of an error: there may be a token in it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// parse reads an answer.
func parse(res *http.Response, data []byte) (a Response, err error) {
	switch res.StatusCode {
	case http.StatusNoContent:
		return Response{Result: "ignore"}, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return Response{Result: "deny", Reason: res.Status}, nil
	case http.StatusOK:
	default:
		return a, fmt.Errorf("it answered %s", res.Status)
	}
	if len(data) > maxAnswer {
		return a, fmt.Errorf("it answered more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("its answer: %w", err)
	}
	if err := nothingIsEmpty(&a, data); err != nil {
		return a, fmt.Errorf("its answer: %w", err)
	}
	if !slices.Contains([]string{"allow", "deny", "ignore"}, a.Result) {
		return a, fmt.Errorf("its answer says %q, none of allow, deny and ignore", a.Result)
	}
	return a, nil
}

// nothingIsEmpty makes an empty list of one that is there as null, as many a
// language writes it: it allows nothing. One that is left out leaves it to the
// policy.
func nothingIsEmpty(a *Response, data []byte) error {
	var said struct{ Publish, Subscribe json.RawMessage }
	err := json.Unmarshal(data, &said)
	if said.Publish != nil && a.Publish == nil {
		a.Publish = []string{}
	}
	if said.Subscribe != nil && a.Subscribe == nil {
		a.Subscribe = []string{}
	}
	return err
}

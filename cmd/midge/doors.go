package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/transport"
)

// doors are the listeners, as far as they decide who comes in: what of them
// can change while the broker runs.
type doors struct {
	log  *slog.Logger
	all  []*door // immutable; in the order of the configuration
	wall *door   // immutable; where no listener is, nobody comes in

	admit   func(net.Addr) bool // set before a listener is; nil: all
	keepers *keepers            // owned by who applies

	mu     sync.Mutex
	places map[string]*door // guarded by mu; by what is bound
	known  map[string]*door // guarded by mu; by listener, once somebody has come

	global atomic.Pointer[config.Config]
}

// A door is one listener.
type door struct {
	guard   *auth.Guard
	hooks   midge.Hooks // the guard's
	rules   atomic.Pointer[doorRules]
	clients atomic.Int64
}

// doorRules are in force until the next reload. Immutable.
type doorRules struct {
	listener config.Listener
	policy   auth.Policy
	tls      *tls.Config // nil: none
	proxies  []netip.Prefix
}

// rulesFor reads every file a listener names.
func rulesFor(c *config.Config, l config.Listener, k *keepers) (*doorRules, error) {
	r := &doorRules{listener: l, proxies: l.ProxyBlocks()}
	p := &r.policy
	if name, said := l.CertName(); said {
		p.Authenticators = append(p.Authenticators, auth.Certificates{Name: name, Required: l.WantsCert() == transport.RequireClientCert})
	}
	// Tokens before passwords, which cost a hash to say no.
	if k.tokens != nil {
		p.Authenticators = append(p.Authenticators, k.tokens)
		p.Methods = append(p.Methods, k.tokens)
	}
	if file := either(l.PasswordFile, c.Auth.PasswordFile); file != "" {
		users, err := auth.OpenPasswords(file)
		if err != nil {
			return nil, err
		}
		p.Authenticators = append(p.Authenticators, users)
		p.Methods = append(p.Methods, auth.Scram{Users: users})
	}
	if k.service != nil {
		p.Authenticators = append(p.Authenticators, k.service)
	}
	if file := either(l.ACLFile, c.Auth.ACLFile); file != "" {
		var err error
		if p.ACL, err = auth.LoadACL(file); err != nil {
			return nil, err
		}
	}
	allow := l.AllowAnonymous
	if allow == nil {
		allow = c.Auth.AllowAnonymous
	}
	if allow == nil && l.ProxyProtocol {
		p.Anonymous = auth.AnonymousNever // who comes is from elsewhere
	} else if allow != nil {
		p.Anonymous = map[bool]auth.Anonymous{true: auth.AnonymousAlways, false: auth.AnonymousNever}[*allow]
	}
	var err error
	if len(l.CRL) > 0 {
		if p.Revoked, err = auth.LoadRevoked(l.CRLStale, l.CRL...); err != nil {
			return nil, err
		}
	}
	if l.Secure() {
		if r.tls, err = l.TLS(); err != nil {
			return nil, fmt.Errorf("%s: %w", l.URL, err)
		}
	}
	return r, nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// newDoors reads every file that a configuration names.
func newDoors(c *config.Config, log *slog.Logger) (*doors, error) {
	ds := &doors{log: log, places: map[string]*door{}, known: map[string]*door{}}
	rules, k, err := allRules(c, nil)
	if err != nil {
		return nil, err
	}
	ds.keepers = k
	for _, r := range rules {
		ds.all = append(ds.all, newDoor(r))
	}
	ds.wall = newDoor(&doorRules{policy: auth.Policy{Anonymous: auth.AnonymousNever}})
	ds.global.Store(c)
	return ds, nil
}

func newDoor(r *doorRules) *door {
	d := &door{guard: auth.New(r.policy)}
	d.rules.Store(r)
	d.guard.Install(&d.hooks)
	return d
}

// allRules are those of each listener. The error names everything that could
// not be read.
func allRules(c *config.Config, before *keepers) (all []*doorRules, k *keepers, err error) {
	var errs []error
	if k, err = newKeepers(c, before); err != nil {
		errs = append(errs, err)
	}
	for _, l := range c.Listeners {
		r, err := rulesFor(c, l, k)
		if err != nil && !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == err.Error() }) {
			errs = append(errs, err)
		}
		all = append(all, r)
	}
	return all, k, errors.Join(errs...)
}

// of is the door that a connection came through.
func (ds *doors) of(listener string) *door {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	d := ds.known[listener]
	if d == nil {
		if d = ds.places[config.Place(listener)]; d == nil {
			return ds.wall
		}
		ds.known[listener] = d
	}
	return d
}

// bound notes where d is. Two listeners can have one address on two network
// interfaces; their connections could not be told apart.
func (ds *doors) bound(place string, d *door) error {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if other := ds.places[place]; other != nil && other != d {
		return fmt.Errorf("%s is the address of %s, too", place, other.rules.Load().listener.URL)
	}
	ds.places[place] = d
	clear(ds.known)
	return nil
}

// options are how a door's socket is bound and served.
func (ds *doors) options(d *door) transport.Options {
	l := d.rules.Load().listener
	mode, _ := l.Mode() // checked
	o := transport.Options{
		Admit:     ds.admit,
		WebSocket: transport.WebSocket{Origins: l.Origins}, UnixMode: mode, Nagle: l.Nagle,
		Listen: func(ctx context.Context, _, address string) (net.Listener, error) {
			lc := net.ListenConfig{Control: bindTo(l.Interface)}
			ln, err := lc.Listen(ctx, "tcp"+l.IP, address)
			if err != nil {
				return nil, err
			}
			if err := ds.bound(ln.Addr().String(), d); err != nil {
				return nil, errors.Join(err, ln.Close())
			}
			return ln, nil
		},
	}
	if l.ProxyProtocol {
		o.Proxies = &transport.Proxies{Trusted: d.trusts, RequireTLS: func() bool { return d.rules.Load().listener.ProxyTLS }}
	}
	if strings.HasPrefix(l.URL, "unix:") {
		_ = ds.bound(config.Place(l.URL), d) // the second cannot listen
	}
	if l.Secure() {
		o.TLS = &transport.ServerTLS{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return d.rules.Load().tls, nil
		}}
	}
	return o
}

// trusts reports whether a proxy may stand at an address.
func (d *door) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(d.rules.Load().proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// listeners are those to bind.
func (ds *doors) listeners(except []int) []midge.Listener {
	all := []midge.Listener{}
	for i, d := range ds.all {
		if !slices.Contains(except, i) {
			all = append(all, midge.Listener{URL: d.rules.Load().listener.URL, Options: ds.options(d)})
		}
	}
	return all
}

// rate is that of a listener's clients together.
func (ds *doors) rate(listener string) midge.Rate {
	l := ds.of(listener).rules.Load().listener
	return l.Rate()
}

// install sets the hooks.
func (ds *doors) install(h *midge.Hooks) {
	h.Authenticate = func(ctx context.Context, c *midge.Connect) error {
		d := ds.of(c.Listener)
		if err := d.admits(c, ds.global.Load()); err != nil {
			return err
		}
		if err := d.hooks.Authenticate(ctx, c); err != nil {
			return err
		}
		return d.full() // others came in while a password was hashed
	}
	h.Enhanced = func(ctx context.Context, c *midge.Connect, method string) midge.Exchange {
		d := ds.of(c.Listener)
		x := d.hooks.Enhanced(ctx, c, method)
		if x == nil || c.Access != nil { // one who is in, and re-authenticates
			return x
		}
		if err := d.admits(c, ds.global.Load()); err != nil {
			return refusing{err}
		}
		return bounded{x, d}
	}
	h.Connected = func(_ context.Context, c midge.ClientInfo) {
		ds.of(c.Listener).clients.Add(1)
		if ds.global.Load().Log.Connections {
			ds.log.Info("connected", "client", c.ClientID, "user", c.Username, "remote", c.Addr, "version", c.Version.String(), "keepalive", c.KeepAlive, "clean", c.CleanStart)
		}
	}
	h.Disconnected = func(_ context.Context, c midge.ClientInfo, reason mqtt.ReasonCode) {
		ds.of(c.Listener).clients.Add(-1)
		if ds.global.Load().Log.Connections {
			ds.log.Info("disconnected", "client", c.ClientID, "remote", c.Addr, "reason", reason.String(), "after", time.Since(c.Since).Round(time.Millisecond))
		}
	}
	if ds.global.Load().Limits.MaxPayload > 0 {
		h.Publish = func(_ context.Context, _ midge.ClientInfo, m *mqtt.Message) error {
			if most := ds.global.Load().Limits.MaxPayload; most > 0 && len(m.Payload) > int(most) {
				return &midge.Refusal{Code: mqtt.ImplementationSpecificError, Reason: fmt.Sprintf("the payload has more than %v", most)}
			}
			return nil
		}
	}
}

// refusing is an Exchange with somebody who may not come in anyway.
type refusing struct{ err error }

func (r refusing) Step(context.Context, []byte) ([]byte, bool, error) { return nil, false, r.err }

// bounded is an Exchange that ends well only where there is room.
type bounded struct {
	midge.Exchange
	d *door
}

func (x bounded) Step(ctx context.Context, data []byte) ([]byte, bool, error) {
	reply, done, err := x.Exchange.Step(ctx, data)
	if err == nil && done {
		err = x.d.full()
	}
	return reply, done, err
}

// full refuses one more where there are as many as there may be.
func (d *door) full() error {
	if most := d.rules.Load().listener.MaxConnections; most > 0 && d.clients.Load() >= int64(most) {
		return &midge.Refusal{Code: mqtt.QuotaExceeded, Reason: "the listener has no room"}
	}
	return nil
}

// admits refuses whom the listener is not for, whoever it is.
func (d *door) admits(c *midge.Connect, g *config.Config) error {
	l := &d.rules.Load().listener
	longest := time.Duration(g.MQTT.MaxKeepAlive)
	asked := time.Duration(c.KeepAlive) * time.Second
	switch {
	case !l.Speaks(c.Version):
		return &midge.Refusal{Code: mqtt.UnsupportedProtocolVersion}
	case c.Assigned && !g.Auth.AssignIDs:
		return &midge.Refusal{Code: mqtt.ClientIdentifierNotValid, Reason: "a client identifier is required"}
	case len(g.Auth.IDPrefixes) > 0 && !slices.ContainsFunc(g.Auth.IDPrefixes, func(p string) bool { return strings.HasPrefix(c.ClientID, p) }):
		return &midge.Refusal{Code: mqtt.ClientIdentifierNotValid, Reason: "client identifiers begin otherwise here"}
	case g.MQTT.StrictKeepAlive && c.Version != mqtt.V5 && longest > 0 && (asked == 0 || asked > longest):
		return &midge.Refusal{Code: mqtt.ClientIdentifierNotValid, Reason: "the keep-alive is too long"}
	}
	return d.full()
}

// apply puts another configuration in force, whose listeners are as many.
// Whoever may not stay is disconnected, and returned.
func (ds *doors) apply(b *midge.Broker, c *config.Config) (gone []midge.ClientInfo, err error) {
	rules, k, err := allRules(c, ds.keepers)
	if err != nil {
		return nil, err
	}
	if old := ds.keepers.service; old != nil && old != k.service {
		defer old.Close()
	}
	ds.keepers = k
	ds.global.Store(c)
	for i, d := range ds.all {
		rules[i].policy.Vouch = vouchers(rules[i].tls)
		d.rules.Store(rules[i])
		gone = append(gone, d.guard.Apply(b, rules[i].policy)...)
	}
	return gone, nil
}

// vouchers looks at certificates of connections that may have been made under
// other authorities.
func vouchers(cfg *tls.Config) func(*tls.ConnectionState) error {
	if cfg == nil || cfg.ClientAuth == tls.NoClientCert {
		return nil
	}
	return func(state *tls.ConnectionState) error {
		err := config.Vouched(cfg, state)
		if err == nil {
			return nil
		}
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			err = errors.New("its authority is trusted no more")
		}
		return fmt.Errorf("client certificate: %w: %w", err, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "certificate is not accepted any more"})
	}
}

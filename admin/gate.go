package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
)

// A gate decides who may ask.
type gate struct {
	log    *slog.Logger
	token  atomic.Pointer[[sha256.Size]byte] // nil: none is needed, and loopback alone is served
	cross  http.CrossOriginProtection
	turned once // away, by address
}

func (g *gate) set(token string) {
	if token == "" {
		g.token.Store(nil)
		return
	}
	sum := sha256.Sum256([]byte(token))
	g.token.Store(&sum)
}

// admit returns why r is not answered, nil if it is.
func (g *gate) admit(r *http.Request) *problem {
	p := g.judge(r)
	if p == nil {
		return nil
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if g.turned.first(host) {
		g.log.Warn("admin request refused", "remote", host, "path", r.URL.Path, "why", p.Text)
	}
	return p
}

func (g *gate) judge(r *http.Request) *problem {
	// A web page that somebody on this machine looks at is not that somebody.
	// It could not read the answer of a GET, and still have traces run.
	site := r.Header.Get("Sec-Fetch-Site")
	if err := g.cross.Check(r); err != nil || site != "" && site != "same-origin" && site != "none" {
		return &problem{http.StatusForbidden, "another site's page may not ask for this", "ask with a program, or from a page of this address"}
	}
	want := g.token.Load()
	if want == nil {
		return fromHere(r)
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(got)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], want[:]) != 1 {
		return &problem{http.StatusUnauthorized, "the token is missing or wrong", "send Authorization: Bearer TOKEN, with what is in the file that token_file of [admin] names"}
	}
	return nil
}

// fromHere wants the peer, and the name it asks under, to be this machine: a
// page whose name has been pointed at 127.0.0.1 is somebody else's.
func fromHere(r *http.Request) *problem {
	if unix(r) {
		return nil
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return &problem{http.StatusForbidden, "without a token, nobody but this machine may ask", "set token_file in [admin] of the broker's configuration, and send Authorization: Bearer TOKEN"}
	}
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip"} {
		if r.Header.Get(name) != "" { // a proxy here stands for somebody elsewhere
			return &problem{http.StatusForbidden, "without a token, nobody may ask through a proxy, as " + name + " says", "set token_file in [admin] of the broker's configuration, and send Authorization: Bearer TOKEN"}
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if host == "localhost" || err == nil && addr.Unmap().IsLoopback() {
		return nil
	}
	return &problem{http.StatusForbidden, "without a token, this is asked for as localhost or 127.0.0.1, not as " + host, "ask for that, or set token_file in [admin] of the broker's configuration"}
}

// unix reports whether r came over a unix socket, whose permissions decide.
func unix(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// DefaultPath is where WebSocket listeners and dialers meet when the URL
// names no path.
const DefaultPath = "/mqtt"

// An address is a URL taken apart.
type address struct {
	kind Kind
	name string // host without port, "" for all interfaces or unix
	host string // host:port to bind or dial; the file for unix

	authority string // ws and wss: host and port as the URL had them
	path      string // ws and wss: the path of the request, the query included
}

var schemes = map[string]struct {
	kind Kind
	port string
}{
	"tcp":   {TCP, "1883"},
	"mqtt":  {TCP, "1883"},
	"tls":   {TLS, "8883"},
	"mqtts": {TLS, "8883"},
	"ws":    {WS, "80"},
	"wss":   {WSS, "443"},
	"unix":  {Unix, ""},
}

// errURL is the caller's mistake: the text is no address.
func errURL(s, why string) error { return fmt.Errorf("transport: address %q: %s", s, why) }

func parseAddress(s string) (address, error) {
	u, err := url.Parse(s)
	if err != nil {
		// The text of url.Error repeats the URL, which may hold a password.
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return address{}, fmt.Errorf("transport: address is no URL: %w", err)
	}
	scheme, ok := schemes[u.Scheme]
	if !ok {
		return address{}, errURL(u.Redacted(), "scheme is none of tcp, mqtt, tls, mqtts, ws, wss, unix")
	}
	if u.User != nil {
		return address{}, errURL(u.Redacted(), "user and password do not belong here")
	}
	if scheme.kind == Unix {
		file := u.Path
		if u.Opaque != "" { // unix:midge.sock, relative
			file = u.Opaque
		}
		if file == "" || u.Host != "" {
			return address{}, errURL(s, "want unix:///absolute/path or unix:relative/path")
		}
		return address{kind: Unix, host: file}, nil
	}
	if u.Opaque != "" || u.Host == "" {
		return address{}, errURL(s, "want scheme://host:port")
	}
	a := address{kind: scheme.kind, name: u.Hostname(), authority: u.Host, path: u.RequestURI()}
	port := u.Port()
	if port == "" {
		port = scheme.port
	}
	a.host = net.JoinHostPort(a.name, port)
	web := a.kind == WS || a.kind == WSS
	switch {
	case !web && (strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
		return address{}, errURL(s, "only ws and wss have a path")
	case web && u.Path == "":
		a.path = DefaultPath
		if u.RawQuery != "" {
			a.path += "?" + u.RawQuery
		}
	}
	return a, nil
}

// wrapper checks opts and returns what turns a bound listener into ours.
func (a address) wrapper(opts Options) (func(net.Listener) Listener, error) {
	var config *tls.Config
	if a.kind == TLS || a.kind == WSS {
		var err error
		if config, err = opts.TLS.Config(); err != nil {
			return nil, err
		}
	}
	switch a.kind {
	case TLS:
		return func(ln net.Listener) Listener { return newTLSListener(ln, config, opts) }, nil
	case WS, WSS:
		if err := opts.WebSocket.validate(); err != nil {
			return nil, err
		}
		if strings.Contains(a.path, "?") {
			return nil, errors.New("a listener's path has no query")
		}
		if config != nil {
			config = overHTTP(config)
		}
		return func(ln net.Listener) Listener { return newWSListener(ln, a, config, opts) }, nil
	}
	return func(ln net.Listener) Listener { return newStreamListener(ln, a.kind, opts) }, nil
}

// urlOf is where something is bound: the zone of an IPv6 address is escaped.
func urlOf(k Kind, host string) string { return (&url.URL{Scheme: string(k), Host: host}).String() }

package transport

import (
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
	path string // ws and wss: the path of the request, the query included
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
	a := address{kind: scheme.kind, name: u.Hostname(), path: u.RequestURI()}
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
	switch a.kind {
	case TCP, Unix:
		return func(ln net.Listener) Listener { return newStreamListener(ln, a.kind, opts) }, nil
	}
	return nil, fmt.Errorf("no listener for %s", a.kind)
}

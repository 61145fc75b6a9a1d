package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
)

// DialOptions shape a connection this end opens. The zero value is fine.
type DialOptions struct {
	// TLS is for tls and wss; nil: the system's roots, TLS 1.2 or later, the
	// URL's host as server name and ALPN "mqtt". An empty ServerName and nil
	// NextProtos are filled in the same way.
	TLS *tls.Config

	// Subprotocols are offered over ws and wss, best first; nil: "mqtt".
	Subprotocols []string

	// Header adds to the WebSocket request: cookies, tokens, an Origin.
	Header http.Header

	// NetDial opens the socket, in place of net.Dialer: a proxy, another
	// network, a pipe. network is "tcp" or "unix".
	NetDial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o DialOptions) netDial(ctx context.Context, network, address string) (net.Conn, error) {
	if o.NetDial != nil {
		return o.NetDial(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Dial connects to the address url names, handshakes included; ctx bounds
// all of that and nothing after. See the package comment for the URLs
// understood.
func Dial(ctx context.Context, url string, opts DialOptions) (Conn, error) {
	a, err := parseAddress(url)
	if err != nil {
		return nil, err
	}
	network := "tcp"
	if a.kind == Unix {
		network = "unix"
	}
	raw, err := opts.netDial(ctx, network, a.host)
	if err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", url, err)
	}
	c, err := a.clientHandshake(ctx, raw, opts)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("transport: dial %s: %w", url, err)
	}
	return c, nil
}

func (a address) clientHandshake(ctx context.Context, raw net.Conn, opts DialOptions) (Conn, error) {
	switch a.kind {
	case TLS:
		c, err := clientTLS(ctx, raw, opts.TLS, a.name, ALPN)
		if err != nil {
			return nil, err
		}
		return &tlsConn{c}, nil
	case WS:
		return a.dialWS(ctx, raw, opts)
	case WSS:
		c, err := clientTLS(ctx, raw, opts.TLS, a.name, "http/1.1")
		if err != nil {
			return nil, err
		}
		return a.dialWS(ctx, c, opts)
	}
	return &streamConn{raw, a.kind}, nil
}

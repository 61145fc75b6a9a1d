package transport

import (
	"context"
	"fmt"
	"net"
)

// DialOptions shape a connection this end opens. The zero value is fine.
type DialOptions struct {
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
	case TCP, Unix:
		return &streamConn{raw, a.kind}, nil
	}
	return nil, fmt.Errorf("no dialer for %s", a.kind)
}

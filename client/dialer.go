package client

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/midgemq/midge/transport"
)

// dialTransport opens one of the transports midge has.
func (set *settings) dialTransport(ctx context.Context, u *url.URL) (net.Conn, error) {
	opts := transport.DialOptions{Header: set.Header}
	if set.TLS != nil {
		cfg, err := set.TLS.Config()
		if err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		opts.TLS = cfg
	}
	if set.Version == 3 {
		opts.Subprotocols = []string{"mqttv3.1", "mqtt"}
	}
	dialer := &net.Dialer{KeepAliveConfig: set.TCPKeepAlive}
	if set.LocalAddr != "" && u.Scheme != "unix" {
		ip := net.ParseIP(set.LocalAddr)
		if ip == nil {
			return nil, fmt.Errorf("LocalAddr %q is no IP address", set.LocalAddr)
		}
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	if set.Interface != "" {
		dialer.Control = bindTo(set.Interface)
	}
	opts.NetDial = dialer.DialContext
	proxy, err := set.proxy(u)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		opts.NetDial = transport.ViaProxy(proxy, dialer.DialContext)
	}
	return transport.Dial(ctx, u.String(), opts)
}

// proxy is the proxy on the way to u; nil is none.
func (set *settings) proxy(u *url.URL) (*url.URL, error) {
	switch set.Proxy {
	case "none":
		return nil, nil
	case "":
		return transport.ProxyFromEnv(os.Getenv, u)
	}
	return transport.ParseProxy(set.Proxy)
}

package config

import "net/netip"

// ProxyBlocks are those of proxies, checked.
func (l *Listener) ProxyBlocks() []netip.Prefix {
	all, _ := blocks(l.Proxies)
	return all
}

func (l *Listener) checkProxies(unix bool, fail func(key, format string, args ...any)) {
	if _, err := blocks(l.Proxies); err != nil {
		fail("proxies", "%w", err)
	}
	switch {
	case !l.ProxyProtocol && len(l.Proxies) > 0:
		fail("proxies", "does nothing without proxy_protocol")
	case !l.ProxyProtocol && l.ProxyTLS:
		fail("proxy_require_tls", "does nothing without proxy_protocol")
	case l.ProxyProtocol && len(l.Proxies) == 0 && !unix:
		fail("proxies", "proxy_protocol takes the addresses of the proxies: whoever may send a header may be anybody")
	}
}

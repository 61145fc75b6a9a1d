package mosquitto

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/midgemq/midge/internal/config"
)

// A listener is one of the file. The default one is made by what comes before
// all others.
type listener struct {
	config.Listener
	port, host, unix  string
	websockets        bool
	cafile, capath    string
	require           bool
	identity, subject bool
	named             string // the line that says so
	refused           bool   // it cannot be served at all
}

func listenerDirectives() []Directive {
	all := []Directive{
		{"accept_protocol_versions", Listener, Honoured, "`protocols`", (*parser).versions},
		{"bind_address", Listener, Honoured, "`url`", func(p *parser, v string) (string, error) {
			p.defaultListener().host = v
			return "", nil
		}},
		{"bind_interface", Listener, Honoured, "`interface` (Linux)", text(func(l *listener) *string { return &l.Interface })},
		{"cafile", Listener, Honoured, "`client_ca`, with require_certificate", text(func(l *listener) *string { return &l.cafile })},
		{"capath", Listener, Differently, "`client_ca`, with require_certificate, where there is no cafile", text(func(l *listener) *string { return &l.capath })},
		{"certfile", Listener, Honoured, "`cert`", text(func(l *listener) *string { return &l.Cert })},
		{"keyfile", Listener, Honoured, "`key`", text(func(l *listener) *string { return &l.Key })},
		{"ciphers", Listener, Differently, "`ciphers`: those named that are safe; OpenSSL's words for groups of them are passed over", (*parser).ciphers},
		{"ciphers_tls1.3", Listener, Differently, "all three are safe, and offered", noted},
		{"crlfile", Listener, Honoured, "`crl`", func(p *parser, v string) (string, error) {
			p.here().CRL = []string{v}
			return "", nil
		}},
		{"dhparamfile", Listener, Honoured, "as in Mosquitto, it is not needed any more", ignored},
		{"listener", Listener, Honoured, "`[[listener]]`", (*parser).listener},
		{"listener_allow_anonymous", Listener, Honoured, "`allow_anonymous`", boolean(func(p *parser, b bool) { p.here().AllowAnonymous = &b })},
		{"listener_auto_id_prefix", Listener, Differently, "identifiers that are assigned have midge's own form", noted},
		{"max_connections", Listener, Honoured, "`max_connections`", number(-1, 1<<30, func(p *parser, n int) { p.here().MaxConnections = max(n, 0) })},
		{"max_topic_alias", Listener, Differently, "`mqtt.topic_aliases`: the most that one listener wants", number(0, 65535, func(p *parser, n int) {
			p.here()
			p.c.MQTT.TopicAliases, p.aliasesSaid = most(p.c.MQTT.TopicAliases, n, p.aliasesSaid), true
		})},
		{"max_topic_alias_broker", Listener, Differently, "`mqtt.aliases_out`: the most that one listener wants", number(0, 65535, func(p *parser, n int) {
			p.here()
			p.c.MQTT.AliasesOut, p.aliasesOutSaid = most(p.c.MQTT.AliasesOut, n, p.aliasesOutSaid), true
		})},
		{"mptcp", Listener, Differently, "on wherever the system has it", noted},
		{"port", Listener, Honoured, "`url`", number(1, 65535, func(p *parser, n int) { p.defaultListener().port = strconv.Itoa(n) })},
		{"protocol", Listener, Honoured, "`url`: mqtt and websockets, at the path /mqtt; http_api is refused", (*parser).protocol},
		{"enable_proxy_protocol", Listener, Differently, "`proxy_protocol`: headers of either version, from any address; name your proxies in `proxies`", number(1, 2, func(p *parser, _ int) {
			l := p.here()
			l.ProxyProtocol, l.Proxies = true, []string{"0.0.0.0/0", "::/0"}
		})},
		{"proxy_protocol_v2_require_tls", Listener, Honoured, "`proxy_require_tls`", boolean(func(p *parser, b bool) { p.here().ProxyTLS = b })},
		{"require_certificate", Listener, Honoured, "`client_cert = \"require\"`", boolean(func(p *parser, b bool) { p.here().require = b })},
		{"socket_domain", Listener, Honoured, "`ip`", (*parser).domain},
		{"tls_keyform", Listener, Differently, "pem; engines are OpenSSL's", func(_ *parser, v string) (string, error) {
			if v != "pem" {
				return "", &refusal{"engines are OpenSSL's; keys come from PEM files"}
			}
			return "", nil
		}},
		{"tls_version", Listener, Honoured, "`tls_min`, 1.2 at least", (*parser).tlsVersion},
		{"use_identity_as_username", Listener, Honoured, "`user_from_cert = \"cn\"`", boolean(func(p *parser, b bool) { p.here().identity, p.here().named = b, p.place })},
		{"use_subject_as_username", Listener, Honoured, "`user_from_cert = \"subject\"`", boolean(func(p *parser, b bool) { p.here().subject, p.here().named = b, p.place })},
		{"websockets_origin", Listener, Honoured, "`ws_origins`", func(p *parser, v string) (string, error) {
			l := p.here()
			l.Origins = append(l.Origins, v)
			return "", nil
		}},
	}
	return append(all, oddDirectives()...)
}

// oddDirectives are those of listeners that share how they are taken, and those
// that are refused.
func oddDirectives() (all []Directive) {
	for _, name := range []string{"max_qos", "maximum_qos"} {
		all = append(all, Directive{name, Listener, Differently, "`mqtt.max_qos`: the lowest of all listeners", number(0, 2, func(p *parser, n int) {
			p.here()
			p.c.MQTT.MaxQoS = min(p.c.MQTT.MaxQoS, n)
		})})
	}
	why := map[string]string{
		"disable_client_cert_date_checks": "a certificate past its time is not accepted (false is honoured)",
		"use_username_as_clientid":        "a client is called what it calls itself; auth.acl_file can bind topics to users instead (false is honoured)",
	}
	for name, w := range why {
		all = append(all, Directive{name, Listener, Refused, w, onlyFalse})
	}
	for name, w := range map[string]string{
		"http_dir":              "midge serves no files",
		"mount_point":           "topics are not renamed; rules with %u and %c keep clients apart",
		"psk_hint":              "Go's TLS has no pre-shared keys: use certificates",
		"tls_engine":            "engines are OpenSSL's; keys come from PEM files",
		"tls_engine_kpass_sha1": "engines are OpenSSL's; keys come from PEM files",
	} {
		all = append(all, Directive{Name: name, Part: Listener, Verdict: Refused, How: w})
	}
	return all
}

func most(now, n int, said bool) int {
	if said {
		return max(now, n)
	}
	return n
}

// here is the listener that lines are about: the default one before all others.
func (p *parser) here() *listener {
	if p.current == nil {
		p.current = p.defaultListener()
	}
	return p.current
}

func (p *parser) defaultListener() *listener {
	if p.fallback == nil {
		p.fallback = &listener{port: "1883", Listener: config.Listener{TLSMin: "1.2"}}
		p.listeners = append([]*listener{p.fallback}, p.listeners...)
	}
	p.current = p.fallback
	return p.fallback
}

// security is where a setting of security goes.
func (p *parser) security(global *string, own func(*listener) *string) *string {
	p.securitySaid = true
	if p.perListenerSettings {
		return own(p.here())
	}
	return global
}

func (p *parser) listener(v string) (string, error) {
	port, host, _ := strings.Cut(v, " ")
	host = strings.TrimSpace(host)
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return "", fmt.Errorf("there is no port %q", port)
	}
	l := &listener{port: port, host: host, Listener: config.Listener{TLSMin: "1.2"}}
	if n == 0 {
		if host == "" {
			return "", fmt.Errorf("port 0 goes with the path of a unix socket")
		}
		l.unix = host
	}
	p.listeners = append(p.listeners, l)
	p.current = l
	return "", nil
}

func (p *parser) versions(v string) (string, error) {
	l := p.here()
	l.Protocols = nil
	for _, n := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		name, ok := map[string]string{"3": "3.1", "4": "3.1.1", "5": "5"}[n]
		if !ok {
			return "", fmt.Errorf("%q is none of 3, 4 and 5", n)
		}
		l.Protocols = append(l.Protocols, name)
	}
	return "", nil
}

func (p *parser) protocol(v string) (string, error) {
	l := p.here()
	switch v {
	case "mqtt":
	case "websockets":
		l.websockets = true
		return "clients find it at the path /mqtt alone", nil
	case "http_api":
		l.refused = true
		return "", &refusal{"there is no such API; midge check reads what is stored, $SYS says how the broker is"}
	default:
		return "", fmt.Errorf("there is no protocol %q", v)
	}
	return "", nil
}

func (p *parser) domain(v string) (string, error) {
	ip, ok := map[string]string{"ipv4": "4", "ipv6": "6"}[v]
	if !ok {
		return "", fmt.Errorf("%q is neither ipv4 nor ipv6", v)
	}
	p.here().IP = ip
	return "", nil
}

func (p *parser) tlsVersion(v string) (string, error) {
	l := p.here()
	switch v {
	case "tlsv1.3":
		l.TLSMin = "1.3"
	case "tlsv1.2":
	case "tlsv1.1", "tlsv1":
		return "TLS 1.2 is the least there is", nil
	default:
		return "", fmt.Errorf("there is no TLS version %q", v)
	}
	return "", nil
}

func (p *parser) ciphers(v string) (string, error) {
	l := p.here()
	var left []string
	for _, name := range strings.Split(v, ":") {
		if config.CipherKnown(name) {
			l.Ciphers = append(l.Ciphers, name)
		} else if name != "" {
			left = append(left, name)
		}
	}
	switch {
	case len(left) == 0:
		return "", nil
	case len(l.Ciphers) == 0:
		return "every safe suite is offered: " + strings.Join(left, ":") + " names none by itself", nil
	}
	return "passed over: " + strings.Join(left, ":"), nil
}

// finish makes the listener one of ours.
func (l *listener) finish() config.Listener {
	c := l.Listener
	kind := "tcp"
	switch secure := c.Cert != ""; {
	case l.unix != "":
		c.URL = (&url.URL{Scheme: "unix", Path: l.unix}).String()
		return c
	case l.websockets && secure:
		kind = "wss"
	case l.websockets:
		kind = "ws"
	case secure:
		kind = "tls"
	}
	c.URL = kind + "://" + net.JoinHostPort(strings.Trim(l.host, "[]"), l.port)
	if l.websockets {
		c.URL += "/mqtt"
		if len(c.Origins) == 0 {
			c.Origins = []string{"*"} // Mosquitto's
		}
	}
	if l.require {
		c.ClientCert, c.ClientCA = "require", l.cafile
		if l.cafile == "" {
			c.ClientCA = l.capath
		}
		switch {
		case l.identity:
			c.UserFromCert = "cn"
		case l.subject:
			c.UserFromCert = "subject"
		}
	} else {
		c.CRL = nil
	}
	return c
}

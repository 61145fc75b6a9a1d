package mosquitto

import "slices"

// A Verdict says what becomes of a directive.
type Verdict uint8

const (
	Honoured Verdict = iota
	Differently
	Refused
)

func (v Verdict) String() string {
	return [...]string{"honoured", "differently", "refused"}[v]
}

// A Part of mosquitto.conf.
type Part uint8

const (
	Broker Part = iota
	Listener
	Bridge
	Plugin
)

// A Directive is a line of the table.
type Directive struct {
	Name    string
	Part    Part
	Verdict Verdict
	How     string // which key it becomes, how it differs, or why it is refused

	// take puts a value in force. What it says is a Note: for people if it is
	// done differently, refused with a *refusal. Any other error is a mistake in
	// the file.
	take func(p *parser, value string) (note string, err error)
}

// Directives are those of Mosquitto 2.1, sorted.
func Directives() []Directive { return slices.Clone(table) }

// table is filled by init: its functions look at it.
var table []Directive

func init() {
	table = slices.Concat(brokerDirectives(), listenerDirectives(), bridgeDirectives(), pluginDirectives())
	slices.SortFunc(table, func(a, b Directive) int {
		if a.Part != b.Part {
			return int(a.Part) - int(b.Part)
		}
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

func find(name string) *Directive {
	i := slices.IndexFunc(table, func(d Directive) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &table[i]
}

// refused are directives of one kind, and why.
func refused(part Part, why string, names ...string) (all []Directive) {
	for _, n := range names {
		all = append(all, Directive{Name: n, Part: part, Verdict: Refused, How: why})
	}
	return all
}

func bridgeDirectives() []Directive {
	return refused(Bridge, "midge connects no brokers",
		"connection", "address", "addresses", "topic", "cleansession", "local_cleansession", "clientid", "remote_clientid", "local_clientid",
		"username", "remote_username", "local_username", "password", "remote_password", "local_password",
		"idle_timeout", "keepalive_interval", "notifications", "notifications_local_only", "notification_topic", "restart_timeout",
		"round_robin", "start_type", "threshold", "try_private", "bridge_alpn", "bridge_attempt_unsubscribe", "bridge_bind_address",
		"bridge_cafile", "bridge_capath", "bridge_certfile", "bridge_ciphers", "bridge_ciphers_tls1.3", "bridge_identity", "bridge_insecure",
		"bridge_keyfile", "bridge_max_packet_size", "bridge_max_topic_alias", "bridge_outgoing_retain", "bridge_protocol_version",
		"bridge_psk", "bridge_receive_maximum", "bridge_reload_type", "bridge_require_ocsp", "bridge_session_expiry_interval",
		"bridge_tcp_keepalive", "bridge_tcp_user_timeout", "bridge_tls_use_os_certs", "bridge_tls_version")
}

func pluginDirectives() []Directive {
	return refused(Plugin, "plugins are libraries made for Mosquitto; package auth has password files, certificates, tokens, HTTP and SCRAM, and a Go program its hooks",
		"plugin", "global_plugin", "plugin_load", "plugin_use", "plugin_opt_*", "auth_plugin", "auth_opt_*", "auth_plugin_deny_special_chars", "enable_control_api")
}

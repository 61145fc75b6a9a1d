package config

import (
	"time"

	"github.com/midgemq/midge"
)

// A Config is a configuration file. The tags of a field are its key, what it
// is for people, and whether a change takes effect without a restart (live).
type Config struct {
	Listeners []Listener `toml:"listener" help:"Where clients are served: one [[listener]] each. Without any, there is one on loopback, port 1883."`
	Auth      Auth       `toml:"auth" help:"Who may come in, and what they may do."`
	JWT       JWT        `toml:"jwt" help:"Signed tokens that clients show as their password. Off without algorithms."`
	HTTP      HTTP       `toml:"http" help:"A service that is asked about clients that nobody else knows. Off without a url."`
	Data      Data       `toml:"data" help:"What outlives the process."`
	MQTT      MQTT       `toml:"mqtt" help:"What is offered to clients."`
	Limits    Limits     `toml:"limits" help:"Bounds of what clients can make the broker hold. What is over them is refused or dropped, counted and logged once."`
	Protect   Protect    `toml:"protect" help:"Who may connect how often, and who is kept out for a while. Everything is counted; the log hears of it once."`
	Admin     Admin      `toml:"admin" help:"What an operator sees and does: metrics, health, midge top. Off without a url."`
	Log       Log        `toml:"log" help:"What an operator hears."`
	Trace     Trace      `toml:"trace" help:"What happens around one client, user, address or topic, in the log, at info; several have to hold together. Nothing unless one is said. midge trace shows the same without a change here."`
	Telemetry Telemetry  `toml:"telemetry" help:"Metrics and traces for an OpenTelemetry collector, over OTLP/HTTP. Off without an endpoint; OTEL_* variables say what is unsaid here."`
	Process   Process    `toml:"process" help:"The process itself."`
}

// A Listener is one address.
type Listener struct {
	URL            string   `toml:"url" help:"tcp://host:port, tls://, ws://host:port/path, wss:// or unix:///path. No host is every address; port 0 lets the system choose."`
	AllowAnonymous *bool    `toml:"allow_anonymous" live:"yes" help:"Let in clients without credentials. Unsaid, [auth] says it; unsaid there too, they are let in where nobody else can connect: on loopback and unix sockets."`
	PasswordFile   string   `toml:"password_file" live:"yes" help:"In place of that of [auth]."`
	ACLFile        string   `toml:"acl_file" live:"yes" help:"In place of that of [auth]."`
	Cert           string   `toml:"cert" live:"yes" help:"PEM file with the certificate, and those between it and its root."`
	Key            string   `toml:"key" live:"yes" help:"PEM file with its private key."`
	ClientCA       string   `toml:"client_ca" live:"yes" help:"PEM file, or folder of such files, with the authorities client certificates are checked against."`
	ClientCert     string   `toml:"client_cert" live:"yes" help:"none, optional or require. Unsaid: optional with client_ca, otherwise none."`
	UserFromCert   string   `toml:"user_from_cert" live:"yes" help:"Take the user name from the client certificate: cn, subject, dns, email or uri."`
	CRL            []string `toml:"crl" live:"yes" help:"Files with lists of revoked client certificates. With any, a client whose authority has no list there is refused."`
	CRLStale       bool     `toml:"crl_stale" live:"yes" help:"Go on when such a list is past its time, instead of refusing its authority's clients."`
	TLSMin         string   `toml:"tls_min" live:"yes" help:"1.2 or 1.3."`
	Ciphers        []string `toml:"ciphers" live:"yes" help:"Cipher suites of TLS 1.2, by their OpenSSL or IANA names. Unsaid: every safe one."`
	Origins        []string `toml:"ws_origins" help:"Web pages that may connect over WebSocket, such as https://example.org; * is any. Unsaid: pages of this host."`
	MaxConnections int      `toml:"max_connections" live:"yes" help:"Clients connected here at once; 0: no bound of its own."`
	MessageRate    int      `toml:"message_rate" live:"yes" help:"Messages a second that all clients of this listener may publish together; 0: no bound of its own."`
	ByteRate       Size     `toml:"byte_rate" live:"yes" help:"Bytes of PUBLISH packets a second, likewise."`
	Protocols      []string `toml:"protocols" live:"yes" help:"Versions of MQTT that are spoken: 3.1, 3.1.1, 5. Unsaid: all."`
	ProxyProtocol  bool     `toml:"proxy_protocol" help:"Each connection comes from a proxy and begins with a PROXY header, version 1 or 2, that says whose it is. Nobody else may connect."`
	Proxies        []string `toml:"proxies" live:"yes" help:"Addresses and blocks of those proxies. On a unix socket its permissions say who they are."`
	ProxyTLS       bool     `toml:"proxy_require_tls" live:"yes" help:"Refuse clients that did not come to the proxy over TLS, as its header of version 2 says."`
	Interface      string   `toml:"interface" help:"Network interface the socket is bound to, such as eth0 (Linux)."`
	IP             string   `toml:"ip" help:"4 or 6: that version of IP alone."`
	UnixMode       string   `toml:"unix_mode" help:"Permissions of a unix socket, such as 0660. Unsaid: as the umask leaves them."`
	Nagle          bool     `toml:"nagle" help:"Let the system hold small writes back."`
}

// Auth is about clients of all listeners.
type Auth struct {
	AllowAnonymous *bool    `toml:"allow_anonymous" live:"yes" help:"Let in clients without credentials, on listeners that do not say it themselves. Unsaid: on loopback and unix sockets alone."`
	PasswordFile   string   `toml:"password_file" live:"yes" help:"Users and hashed passwords, as midge passwd and mosquitto_passwd write them. Hashes of scram-sha-256 serve SCRAM too."`
	ACLFile        string   `toml:"acl_file" live:"yes" help:"Rules about topics, in Mosquitto's form or in midge's (midge acl --help). Unsaid: who is in may do everything."`
	AssignIDs      bool     `toml:"assign_ids" live:"yes" help:"Name clients that come without an identifier, instead of refusing them."`
	IDPrefixes     []string `toml:"id_prefixes" live:"yes" help:"Let in only clients whose identifier begins with one of these; those that are assigned begin with midge-. Unsaid: all."`
}

// JWT is package auth/jwt.
type JWT struct {
	Algorithms     []string `toml:"algorithms" live:"yes" help:"Algorithms that tokens may be signed with: of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA."`
	KeyFiles       []string `toml:"key_files" live:"yes" help:"JSON Web Key Sets, and PEM files with public keys or certificates."`
	SecretFile     string   `toml:"secret_file" live:"yes" help:"File with the shared secret of the HS algorithms, 32 bytes or more; a line end behind it does not count."`
	Issuer         string   `toml:"issuer" live:"yes" help:"What iss has to be. Unsaid: anything."`
	Audience       string   `toml:"audience" live:"yes" help:"What aud has to contain. Unsaid: anything."`
	Leeway         Duration `toml:"leeway" live:"yes" help:"How far clocks may be apart; 0: 5s."`
	AllowEndless   bool     `toml:"allow_endless" live:"yes" help:"Take tokens without an end (exp), too."`
	UserClaim      string   `toml:"user_claim" live:"yes" help:"The claim that is the user name. Unsaid: sub."`
	ClientClaim    string   `toml:"client_claim" live:"yes" help:"The claim that the client identifier has to be. Unsaid: none."`
	GroupsClaim    string   `toml:"groups_claim" live:"yes" help:"The claim with the client's groups. Unsaid: groups."`
	PublishClaim   string   `toml:"publish_claim" live:"yes" help:"The claim with filters the client may publish to. Unsaid: publish."`
	SubscribeClaim string   `toml:"subscribe_claim" live:"yes" help:"The claim with filters the client may subscribe to. Unsaid: subscribe."`
}

// HTTP is package auth/web.
type HTTP struct {
	URL         string   `toml:"url" live:"yes" help:"Where to POST what a client says of itself. Passwords go there: have it on this machine, or https."`
	TokenFile   string   `toml:"token_file" live:"yes" help:"File with a token that goes along as Authorization: Bearer."`
	Timeout     Duration `toml:"timeout" live:"yes" help:"Of a request; 0: 5s."`
	TTL         Duration `toml:"ttl" live:"yes" help:"How long an answer that lets in is remembered; 0: 1m; -1s: not at all."`
	NegativeTTL Duration `toml:"negative_ttl" live:"yes" help:"How long one that does not is; 0: 10s; -1s: not at all."`
	WhenDown    string   `toml:"when_down" live:"yes" help:"refuse clients while the service is down, or next: as if it did not know them."`
}

// Data says where and how well the broker remembers.
type Data struct {
	Dir        string   `toml:"dir" help:"Folder for sessions, queued and retained messages and wills. Unsaid: in memory, gone with the process."`
	Durability string   `toml:"durability" help:"When an acknowledgement leaves: always, after fsync; interval, at once, with an fsync every interval; none, at once."`
	Interval   Duration `toml:"interval" help:"Time between two fsyncs, for durability = interval; 0: one second."`
}

// MQTT is what is announced.
type MQTT struct {
	MaxQoS              int      `toml:"max_qos" help:"Highest quality of service, 0 to 2."`
	Retain              bool     `toml:"retain" help:"Accept retained messages."`
	Wildcards           bool     `toml:"wildcards" help:"Accept filters with + and #."`
	SubscriptionIDs     bool     `toml:"subscription_ids" help:"Accept subscription identifiers."`
	Shared              bool     `toml:"shared" help:"Accept shared subscriptions ($share/group/filter)."`
	TopicAliases        int      `toml:"topic_aliases" help:"Topic aliases a client may use; 0: none."`
	AliasesOut          int      `toml:"aliases_out" help:"Topic aliases used towards a client that takes them; 0: none."`
	ReceiveMaximum      int      `toml:"receive_maximum" help:"Messages of QoS 1 and 2 in flight from a client."`
	MaxKeepAlive        Duration `toml:"max_keep_alive" help:"Longest keep-alive: imposed on clients of 5.0 that ask for longer or none. 0: the client's choice."`
	StrictKeepAlive     bool     `toml:"strict_keep_alive" live:"yes" help:"Refuse older clients, which cannot be told, for a keep-alive longer than max_keep_alive."`
	MaxSessionExpiry    Duration `toml:"max_session_expiry" help:"How long a session outlives its connection at most; 0: as long as the client asks; -1s: no session does."`
	ResponseInformation string   `toml:"response_information" help:"Base of response topics, for clients that ask."`
	SysInterval         Duration `toml:"sys_interval" help:"How often $SYS topics are renewed; -1s: there are none."`
}

// Limits are bounds.
type Limits struct {
	MaxPacketSize     Size     `toml:"max_packet_size" help:"Largest packet, 256 bytes to 256 MiB."`
	MaxPayload        Size     `toml:"max_payload" help:"Largest payload of a message; 0: as the packet allows. It costs the fast path of QoS 0; a bound of packets does not."`
	MaxInflight       int      `toml:"max_inflight" help:"Messages of QoS 1 and 2 in flight to a client."`
	MaxQueuedMessages int      `toml:"max_queued_messages" live:"yes" help:"Messages that wait for a client."`
	MaxQueuedBytes    Size     `toml:"max_queued_bytes" live:"yes" help:"Bytes that wait for a client."`
	MaxTopicLevels    int      `toml:"max_topic_levels" live:"yes" help:"Levels of a topic or a filter."`
	MaxTopicLength    Size     `toml:"max_topic_length" live:"yes" help:"Bytes of a topic or a filter, 1 to 65535."`
	MaxSubscriptions  int      `toml:"max_subscriptions" live:"yes" help:"Subscriptions of a client."`
	MaxConnections    int      `toml:"max_connections" live:"yes" help:"Connections in all; 0: as many as the system allows."`
	MaxSessions       int      `toml:"max_sessions" live:"yes" help:"Sessions that may outlive their connections."`
	MaxRetained       int      `toml:"max_retained" live:"yes" help:"Retained messages."`
	MaxRetainedBytes  Size     `toml:"max_retained_bytes" live:"yes" help:"Retained messages in bytes."`
	MaxReplay         int      `toml:"max_replay" live:"yes" help:"Retained messages that one subscription may bring; one that would bring more is refused (quota exceeded). 0: any number."`
	ReplayRate        int      `toml:"replay_rate" live:"yes" help:"Retained messages a second that are looked at for all new subscriptions together, 100 or more; 0: as many as go."`
	MaxMemory         Size     `toml:"max_memory" live:"yes" help:"Memory that may be held for clients in all, 16MiB or more: queues, retained messages, sessions, subscriptions, wills, connections, slow sockets. From three quarters on new retained messages and sessions to be kept are refused (quota exceeded), and QoS 0 goes to nobody who lags; from seven eighths on every new session and subscription, and messages of QoS 1 or 2 that somebody would have to wait for; beyond, nobody may connect. 0: no bound but the others."`
	ClientMessageRate int      `toml:"client_message_rate" live:"yes" help:"Messages a second that one client may publish; 0: as many as it likes."`
	ClientByteRate    Size     `toml:"client_byte_rate" live:"yes" help:"Bytes of PUBLISH packets a second, likewise."`
	MessageRate       int      `toml:"message_rate" live:"yes" help:"Messages a second that all clients may publish together; 0: as many as they like. A listener may have a rate, too."`
	ByteRate          Size     `toml:"byte_rate" live:"yes" help:"Bytes of PUBLISH packets a second, likewise."`
	RateBurst         Duration `toml:"rate_burst" live:"yes" help:"What may come at once, as the time in which it comes at the rate, 500ms to 1h."`
	OverRate          string   `toml:"over_rate" live:"yes" help:"What becomes of more: hold, the client is read no further until there is room; refuse, 5.0 clients are told (quota exceeded), QoS 0 is dropped, older ones are held; disconnect (message rate too high)."`
	ConnectTimeout    Duration `toml:"connect_timeout" help:"From accept to CONNACK."`
	WriteTimeout      Duration `toml:"write_timeout" live:"yes" help:"A client that takes no byte for so long is cut off."`
	Memory            Size     `toml:"memory" live:"yes" help:"Memory the process tries to stay below by collecting garbage earlier; 0: a quarter and 64 MiB above max_memory, or no target. It drops nothing."`
}

// Admin is package admin.
type Admin struct {
	URL       string `toml:"url" help:"Where to serve it: http://host:port, https://host:port or unix:///path, as in http://127.0.0.1:9883. For other machines it takes token_file."`
	TokenFile string `toml:"token_file" live:"yes" help:"File with what a request has to bear (Authorization: Bearer), 16 bytes or more; a line end behind it does not count. Unsaid: nobody but this machine may ask."`
	Cert      string `toml:"cert" live:"yes" help:"PEM file with the certificate of https, and those between it and its root."`
	Key       string `toml:"key" live:"yes" help:"PEM file with its private key."`
	UnixMode  string `toml:"unix_mode" help:"Permissions of the unix socket: who may connect may do everything."`
	Profiles  bool   `toml:"profiles" help:"Offer profiles of the running program, for go tool pprof."`
}

// Log is about the log.
type Log struct {
	Level       string `toml:"level" live:"yes" help:"debug, info, warn, error or none."`
	Connections bool   `toml:"connections" live:"yes" help:"Log who connects and who leaves, at info."`
	To          string `toml:"to" help:"stderr, stdout or a file, which is appended to."`
	Format      string `toml:"format" help:"text or json."`
	Time        bool   `toml:"time" help:"Begin each line with the time."`
}

// Process is about the process.
type Process struct {
	PIDFile string   `toml:"pid_file" help:"File for the process number, which midge reload reads."`
	Watch   Duration `toml:"watch" help:"Look so often whether the configuration, or a file it names, has changed, and reload; 0: only when told, by SIGHUP or midge reload."`
}

// Default is the configuration of a broker that is told nothing, but for its
// listener: see Complete.
func Default() *Config {
	d, err := midge.Config{}.WithDefaults()
	if err != nil {
		panic(err) // a default out of range
	}
	return &Config{
		Auth: Auth{AssignIDs: true},
		HTTP: HTTP{WhenDown: "refuse"},
		Data: Data{Durability: "always"},
		MQTT: MQTT{
			MaxQoS: d.MaxQoS, Retain: true, Wildcards: true, SubscriptionIDs: true, Shared: true,
			TopicAliases: d.TopicAliasMaximum, AliasesOut: d.MaxAliasesOut, ReceiveMaximum: d.ReceiveMaximum,
			SysInterval: Duration(d.SysInterval),
		},
		Limits: Limits{
			MaxPacketSize: Size(d.MaxPacketSize), MaxInflight: d.MaxInflight,
			MaxQueuedMessages: d.MaxQueuedMessages, MaxQueuedBytes: Size(d.MaxQueuedBytes),
			MaxTopicLevels: d.MaxTopicLevels, MaxTopicLength: Size(d.MaxTopicLength), MaxSubscriptions: d.MaxSubscriptions,
			MaxSessions: d.MaxSessions, MaxRetained: d.MaxRetained, MaxRetainedBytes: Size(d.MaxRetainedBytes),
			RateBurst: Duration(d.RateBurst), OverRate: "hold",
			ConnectTimeout: Duration(d.ConnectTimeout), WriteTimeout: Duration(d.WriteTimeout),
		},
		Protect: defaultProtect(),
		Admin:   Admin{UnixMode: "0600"},
		Log:     Log{Level: "info", To: "stderr", Format: "text", Time: true},

		Telemetry: Telemetry{Follow: true},
	}
}

// Complete adds the default listener, if nobody named one.
func (c *Config) Complete() {
	if len(c.Listeners) == 0 {
		c.Listeners = []Listener{defaultListener()}
	}
}

// ListenAt adds a listener with the defaults, for its caller to fill.
func (c *Config) ListenAt(url string) *Listener {
	l := defaultListener()
	l.URL = url
	c.Listeners = append(c.Listeners, l)
	return &c.Listeners[len(c.Listeners)-1]
}

func defaultListener() Listener { return Listener{URL: midge.DefaultListen, TLSMin: "1.2"} }

var overRates = map[string]midge.OverRate{"hold": midge.HoldBack, "refuse": midge.Refuse, "disconnect": midge.CutOff}

// Rate is that of all clients of the listener together.
func (l *Listener) Rate() midge.Rate {
	return midge.Rate{Messages: l.MessageRate, Bytes: int(l.ByteRate)}
}

// Broker is what the configuration says to package midge, listeners, hooks,
// store and logger left out.
func (c *Config) Broker() midge.Config {
	m, l := &c.MQTT, &c.Limits
	offOrNumber := func(n int) int {
		if n <= 0 {
			return -1
		}
		return n
	}
	return midge.Config{
		MaxPacketSize: int(l.MaxPacketSize), ReceiveMaximum: m.ReceiveMaximum,
		TopicAliasMaximum: offOrNumber(m.TopicAliases), MaxQoS: offOrNumber(m.MaxQoS),
		NoRetain: !m.Retain, NoWildcards: !m.Wildcards, NoSubscriptionIDs: !m.SubscriptionIDs, NoShared: !m.Shared,
		MaxKeepAlive: time.Duration(m.MaxKeepAlive), MaxSessionExpiry: time.Duration(m.MaxSessionExpiry),
		ResponseInformation: m.ResponseInformation,
		MaxInflight:         l.MaxInflight, MaxQueuedMessages: l.MaxQueuedMessages, MaxQueuedBytes: int(l.MaxQueuedBytes),
		MaxAliasesOut: offOrNumber(m.AliasesOut), MaxTopicLevels: l.MaxTopicLevels, MaxTopicLength: int(l.MaxTopicLength), MaxSubscriptions: l.MaxSubscriptions,
		MaxConnections: l.MaxConnections, MaxSessions: l.MaxSessions, MaxRetained: l.MaxRetained, MaxRetainedBytes: int(l.MaxRetainedBytes),
		ClientRate: midge.Rate{Messages: l.ClientMessageRate, Bytes: int(l.ClientByteRate)},
		Rate:       midge.Rate{Messages: l.MessageRate, Bytes: int(l.ByteRate)},
		MaxReplay:  l.MaxReplay, ReplayRate: l.ReplayRate, MaxMemory: int(l.MaxMemory), RateBurst: time.Duration(l.RateBurst), OverRate: overRates[l.OverRate],
		ConnectTimeout: time.Duration(l.ConnectTimeout), WriteTimeout: time.Duration(l.WriteTimeout),
		SysInterval: time.Duration(m.SysInterval),
	}
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// options are all of them, in the order help shows them. p, s and r say which
// tools have one.
var options []option

func init() {
	options = append(options, whereOptions()...)
	options = append(options, whoOptions()...)
	options = append(options, whatOptions()...)
	options = append(options, tlsOptions()...)
}

func whereOptions() []option {
	return []option{
		{"-h --host", "psr", 1, textOption(func(o *toolOptions) *string { return &o.host }), "HOST of the broker (default localhost)"},
		{"-p --port", "psr", 1, setPort, "PORT (default 1883; 8883 with TLS, which port 8883 alone turns on)"},
		{"-L --url", "psr", 1, setURL, "URL mqtt(s)|ws(s)://[user[:password]@]host[:port]/topic, all in one"},
		{"--unix", "psr", 1, textOption(func(o *toolOptions) *string { return &o.unix }), "PATH of a unix socket"},
		{"--ws", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.ws }), "over WebSocket, path /mqtt"},
		{"-A", "psr", 1, textOption(func(o *toolOptions) *string { return &o.bind }), "ADDRESS the connection leaves from"},
		{"-S", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.srv }), "look host and port up in DNS (SRV _mqtt._tcp or _secure-mqtt._tcp)"},
		{"--proxy", "psr", 1, textOption(func(o *toolOptions) *string { return &o.proxy }), "URL socks5h://[user[:password]@]host[:port] (default: ALL_PROXY)"},
		{"--nodelay", "psr", 0, func(*toolOptions, []string) error { return nil }, "as ever: small packets leave at once"},
		{"-o", "psr", 1, func(*toolOptions, []string) error { return nil }, "FILE of options (default ~/.config/mosquitto_TOOL)"},
	}
}

func whoOptions() []option {
	return []option{
		{"-i --id", "psr", 1, textOption(func(o *toolOptions) *string { return &o.id }), "client ID (default: random)"},
		{"-I --id-prefix", "psr", 1, textOption(func(o *toolOptions) *string { return &o.idPrefix }), "PREFIX of a client id that ends with the process id"},
		{"-u --username", "psr", 1, textOption(func(o *toolOptions) *string { return &o.username }), "NAME"},
		{"-P --pw", "psr", 1, func(o *toolOptions, v []string) error { o.password, o.hasPassword = v[0], true; return nil }, "PASSWORD"},
		{"-k --keepalive", "psr", 1, numberOption("keepalive", 5, 65535, func(o *toolOptions) *int { return &o.keepAlive }), "SECONDS (default 60)"},
		{"-V --protocol-version", "psr", 1, setVersion, "mqttv31, mqttv311 or mqttv5 (default mqttv311; rr: mqttv5)"},
		{"-c --disable-clean-session", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.keep }), "keep the session; needs -i"},
		{"-x --session-expiry-interval", "psr", 1, setExpiry, "SECONDS the session lasts, -1 for ever (MQTT 5)"},
		{"-M", "psr", 1, numberOption("max inflight", 1, 65535, func(o *toolOptions) *int { return &o.window }), "N messages in flight (default 20)"},
		{"-D --property", "psr", -1, setProperty, "COMMAND NAME [KEY] VALUE: an MQTT 5 property"},
		{"--will-topic", "psr", 1, func(o *toolOptions, v []string) error { o.will.Topic, o.hasWill = v[0], true; return nil }, "TOPIC of the will"},
		{"--will-payload", "psr", 1, func(o *toolOptions, v []string) error { o.will.Payload, o.willMore = []byte(v[0]), true; return nil }, "TEXT of the will"},
		{"--will-qos", "psr", 1, setQoS(func(o *toolOptions) *mqtt.QoS { o.willMore = true; return &o.will.QoS }), "QoS of the will"},
		{"--will-retain", "psr", 0, flagOption(func(o *toolOptions) *bool { o.willMore = true; return &o.will.Retain }), "retain the will"},
		{"-d --debug", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.debug }), "say what happens"},
		{"--quiet", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.quiet }), "say nothing of errors"},
	}
}

func whatOptions() []option {
	return []option{
		{"-t --topic", "psr", 1, setTopic, "TOPIC (sub: filter, repeatable)"},
		{"-q --qos", "psr", 1, setQoS(func(o *toolOptions) *mqtt.QoS { return &o.qos }), "0, 1 or 2 (default 0)"},
		{"-m --message", "pr", 1, payloadOption('m'), "TEXT to send"},
		{"-f --file", "pr", 1, payloadOption('f'), "FILE to send"},
		{"-s --stdin-file", "pr", 0, payloadOption('s'), "send all of standard input as one message"},
		{"-l --stdin-line", "p", 0, payloadOption('l'), "send each line of standard input"},
		{"-l --stdin-line", "r", 0, refused("one request has one answer; use -s or -m"), ""},
		{"-n --null-message", "pr", 0, payloadOption('n'), "send an empty message"},
		{"-r --retain", "p", 0, flagOption(func(o *toolOptions) *bool { return &o.retain }), "retain the message"},
		{"--repeat", "p", 1, numberOption("repeat count", 1, 1<<31-1, func(o *toolOptions) *int { return &o.repeat }), "N times"},
		{"--repeat-delay", "p", 1, seconds("repeat delay", func(o *toolOptions) *time.Duration { return &o.repeatDelay }), "SECONDS between them"},
		{"-e", "r", 1, textOption(func(o *toolOptions) *string { return &o.responseTopic }), "TOPIC of the response"},
		{"--latency", "r", 0, flagOption(func(o *toolOptions) *bool { return &o.latency }), "print how long the answer took"},
		{"-v --verbose", "sr", 0, flagOption(func(o *toolOptions) *bool { return &o.verbose }), "print the topic, too"},
		{"-F", "sr", 1, textOption(func(o *toolOptions) *string { return &o.format }), "FORMAT, see below"},
		{"--json", "sr", 0, flagOption(func(o *toolOptions) *bool { return &o.json }), "a line of JSON a message, as -F %j"},
		{"--pretty", "sr", 0, flagOption(func(o *toolOptions) *bool { return &o.pretty }), "JSON over several lines"},
		{"-N", "sr", 0, flagOption(func(o *toolOptions) *bool { return &o.noEOL }), "no end of line behind a message"},
		{"-R", "sr", 0, flagOption(func(o *toolOptions) *bool { return &o.noStale }), "leave retained messages out"},
		{"-W", "sr", 1, seconds("timeout", func(o *toolOptions) *time.Duration { return &o.timeout }), "SECONDS until the end, with exit code 27"},
		{"-C", "s", 1, numberOption("message count", 1, 1<<31-1, func(o *toolOptions) *int { return &o.count }), "N messages and the end"},
		{"-E", "s", 0, flagOption(func(o *toolOptions) *bool { return &o.exitAfterSub }), "end when subscribed"},
		{"-T --filter-out", "s", 1, func(o *toolOptions, v []string) error { o.filterOut = append(o.filterOut, v[0]); return nil }, "FILTER of what not to print (repeatable)"},
		{"-U --unsubscribe", "s", 1, func(o *toolOptions, v []string) error { o.unsubscribe = append(o.unsubscribe, v[0]); return nil }, "FILTER to give up (repeatable)"},
		{"--retained-only", "s", 0, flagOption(func(o *toolOptions) *bool { return &o.retainedOnly }), "print retained messages, and end at the first other"},
		{"--remove-retained", "s", 0, flagOption(func(o *toolOptions) *bool { return &o.remove }), "delete the retained messages that come"},
		{"--retain-as-published", "sr", 0, flagOption(func(o *toolOptions) *bool { o.version = mqtt.V5; return &o.asPublished }), "leave the retain flag as it was (MQTT 5)"},
		{"--retain-handling", "sr", 1, setHandling, "always, new or never (MQTT 5)"},
		{"--random-filter", "s", 1, setSample, "PERCENT of messages to print"},
		{"--message-rate", "s", 0, refused("count with sub | pv -l"), ""},
		{"-w --watch", "s", 0, refused("use sub -v"), ""},
	}
}

func tlsOptions() []option {
	text := func(to func(*toolOptions) *string) func(*toolOptions, []string) error {
		return textOption(func(o *toolOptions) *string { o.useTLS = true; return to(o) })
	}
	return []option{
		{"--cafile", "psr", 1, text(func(o *toolOptions) *string { return &o.tls.CAFile }), "FILE of trusted certificates; turns TLS on"},
		{"--capath", "psr", 1, text(func(o *toolOptions) *string { return &o.caDir }), "FOLDER of such files"},
		{"--tls-use-os-certs", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.useTLS }), "trust what the system trusts"},
		{"--cert", "psr", 1, text(func(o *toolOptions) *string { return &o.tls.CertFile }), "FILE with the client's certificate"},
		{"--key", "psr", 1, text(func(o *toolOptions) *string { return &o.tls.KeyFile }), "FILE with its key"},
		{"--insecure", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.tls.AnyName }), "do not check the server's name"},
		{"--ciphers", "psr", 1, setCiphers, "LIST of TLS 1.2 ciphers"},
		{"--tls-alpn", "psr", 1, func(o *toolOptions, v []string) error { o.tls.ALPN, o.useTLS = []string{v[0]}, true; return nil }, "PROTOCOL to name"},
		{"--tls-version", "psr", 1, setTLSVersion, "tlsv1.2 or tlsv1.3"},
		{"--tls-keylog", "psr", 1, text(func(o *toolOptions) *string { return &o.keyLog }), "FILE for the session's secrets, to look into the traffic with"},
		{"--no-tls", "psr", 0, flagOption(func(o *toolOptions) *bool { return &o.noTLS }), "no TLS, not on port 8883 either"},
		{"--keyform", "psr", 1, func(_ *toolOptions, v []string) error {
			if v[0] == "pem" {
				return nil
			}
			return refused("keys in hardware need a program of your own: client.TLS.Signer")(nil, nil)
		}, ""},
		{"--tls-engine", "psr", 1, refused("keys in hardware need a program of your own: client.TLS.Signer"), ""},
		{"--tls-engine-kpass-sha1", "psr", 1, refused("keys in hardware need a program of your own: client.TLS.Signer"), ""},
		{"--psk", "psr", 1, refused("Go has no TLS with pre-shared keys; use --cert and --key, or stunnel and --unix"), ""},
		{"--psk-identity", "psr", 1, refused("Go has no TLS with pre-shared keys; use --cert and --key, or stunnel and --unix"), ""},
	}
}

// toolHelp prints the options of one tool.
func toolHelp(out io.Writer, tool, text string) {
	fmt.Fprintf(out, "usage: midge %s [options]\n%s\n\nOptions, those of mosquitto_%s:\n", tool, text, tool)
	for _, opt := range options {
		if opt.help == "" || !strings.Contains(opt.tools, tool[:1]) {
			continue
		}
		fmt.Fprintf(out, "  %-30s %s\n", strings.ReplaceAll(opt.names, " ", ", "), opt.help)
	}
	if tool != "pub" {
		io.WriteString(out, formatHelp)
	}
	fmt.Fprint(out, `
Exit codes: 0; what CONNACK said (1-5, or 128-162 with MQTT 5); 27: -W was over;
1: anything else.
`)
}

const formatHelp = `
Formats: %t topic, %p payload, %x %X payload in hexadecimal, %l its length, %q QoS,
%r retain, %m message id, %I time (ISO 8601), %U time (seconds), %j and %J JSON
(%J: the payload, too, has to be JSON), %f %d payload as a float32 or float64;
MQTT 5: %A topic alias, %C content type, %D correlation data, %E message expiry,
%F payload format, %P user properties, %R response topic, %S subscription id.
%[-][0][width][.precision][separator]X aligns and cuts; @X is strftime's %X, @N
nanoseconds; %% @@ \\ \0 \a \e \n \r \t \v.
`

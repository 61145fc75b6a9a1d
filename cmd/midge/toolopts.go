package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

// The options of midge pub, sub and rr are those of Mosquitto's tools, so that
// a habit or a script moves over as it is.

// toolOptions are what the command line of pub, sub or rr says.
type toolOptions struct {
	tool string // "pub", "sub" or "rr"

	// Where.
	host, unix, bind, proxy string
	port                    int
	ws, noTLS, srv          bool

	// Who.
	id, idPrefix       string
	username, password string
	hasPassword        bool
	keepAlive, window  int
	version            mqtt.Version
	keep               bool   // -c
	expiry             string // -x
	will               client.Will
	hasWill, willMore  bool

	tls    client.TLS
	useTLS bool
	caDir  string
	keyLog string

	debug, quiet bool
	qos          mqtt.QoS
	topics       []string
	properties   properties

	pubOptions
	subOptions
}

type pubOptions struct {
	message, file string
	payload       byte // how it is given: f, l, m, n, s; 0: not yet
	retain        bool
	repeat        int
	repeatDelay   time.Duration
	responseTopic string
	latency       bool
}

type subOptions struct {
	filterOut, unsubscribe        []string
	count                         int
	exitAfterSub, noEOL, verbose  bool
	noStale, retainedOnly, remove bool
	asPublished, pretty, json     bool
	handling                      client.RetainHandling
	format                        string
	timeout                       time.Duration
	sample                        float64 // percent of messages shown; 0: all
}

// An option is one name of the command line's.
type option struct {
	names string // separated by spaces
	tools string // p, s, r
	args  int    // values behind it; -1: it takes them itself
	set   func(o *toolOptions, v []string) error
	help  string
}

// errBadOption is a command line that makes no sense: what a user is told.
type errBadOption struct{ text string }

// errVersion is a command line that asks for the version.
var errVersion = errors.New("version")

func (e *errBadOption) Error() string { return e.text }

func bad(format string, args ...any) error { return &errBadOption{fmt.Sprintf(format, args...)} }

func flagOption(to func(*toolOptions) *bool) func(*toolOptions, []string) error {
	return func(o *toolOptions, _ []string) error { *to(o) = true; return nil }
}

func textOption(to func(*toolOptions) *string) func(*toolOptions, []string) error {
	return func(o *toolOptions, v []string) error { *to(o) = v[0]; return nil }
}

func numberOption(what string, low, high int, to func(*toolOptions) *int) func(*toolOptions, []string) error {
	return func(o *toolOptions, v []string) error {
		n, err := strconv.Atoi(v[0])
		if err != nil || n < low || n > high {
			return bad("Invalid %s given: %s; it must be between %d and %d", what, v[0], low, high)
		}
		*to(o) = n
		return nil
	}
}

func refused(instead string) func(*toolOptions, []string) error {
	return func(*toolOptions, []string) error { return bad("not offered: %s", instead) }
}

// parseTool reads the options file and the command line.
func parseTool(tool string, args []string) (*toolOptions, error) {
	o := &toolOptions{tool: tool, host: "localhost", keepAlive: 60, window: 20, version: mqtt.V311}
	if tool == "rr" {
		o.version = mqtt.V5
	}
	file, explicit := optionsFile(tool, args)
	fromFile, err := readOptions(file, explicit)
	if err != nil {
		return nil, err
	}
	if err := o.parse(fromFile); err != nil {
		return nil, err
	}
	if err := o.parse(args); err != nil {
		return nil, err
	}
	return o, o.check()
}

// optionsFile is where the defaults stand: -o, or Mosquitto's place.
func optionsFile(tool string, args []string) (path string, explicit bool) {
	for i, a := range args[:max(len(args)-1, 0)] {
		if a == "-o" {
			return args[i+1], true
		}
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", false
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "mosquitto_"+tool), false
}

// readOptions reads lines of an option and its value; # begins a comment.
func readOptions(path string, must bool) (args []string, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		if must {
			return nil, err
		}
		return nil, nil
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, has := strings.Cut(line, " ")
		args = append(args, name)
		switch value = strings.TrimSpace(value); {
		case name == "-D" || name == "--property":
			args = append(args, strings.Fields(value)...)
		case has:
			args = append(args, value)
		}
	}
	return args, nil
}

func (o *toolOptions) parse(args []string) error {
	for len(args) > 0 {
		name := args[0]
		switch name {
		case "--help":
			return errHelp
		case "--version":
			return errVersion
		}
		opt := findOption(o.tool, name)
		if opt == nil {
			return bad("Unknown option '%s'.", name)
		}
		args = args[1:]
		n := opt.args
		if n < 0 {
			var err error
			if n, err = propertyArgs(args); err != nil {
				return err
			}
		}
		if len(args) < n {
			return bad("%s argument given but its value is missing.", name)
		}
		if err := opt.set(o, args[:n]); err != nil {
			var b *errBadOption
			if errors.As(err, &b) && strings.HasPrefix(b.text, "not offered") {
				return bad("%s is %s", name, b.text)
			}
			return err
		}
		args = args[n:]
	}
	return nil
}

func findOption(tool, name string) *option {
	for i := range options {
		if strings.Contains(options[i].tools, tool[:1]) && slices.Contains(strings.Fields(options[i].names), name) {
			return &options[i]
		}
	}
	return nil
}

// check is about what only makes sense together.
func (o *toolOptions) check() error {
	switch {
	case o.willMore && !o.hasWill:
		return bad("Will options given, but no will topic given.")
	case (o.tls.CertFile == "") != (o.tls.KeyFile == ""):
		return bad("Both certfile and keyfile must be provided if one of them is set.")
	case o.hasPassword && o.username == "" && o.version != mqtt.V5:
		return bad("-P needs -u before MQTT 5.")
	case o.keep && o.id == "" && o.idPrefix == "":
		return bad("You must provide a client id if you are using the -c option.")
	case o.id != "" && o.idPrefix != "":
		return bad("-i and -I argument cannot be used together.")
	case len(o.topics) == 0 && o.tool == "sub" && len(o.unsubscribe) == 0:
		return bad("You must specify a topic to subscribe to.")
	case o.tool == "pub" && (len(o.topics) == 0 || o.payload == 0):
		return bad("Both topic and message must be supplied.")
	case o.tool == "rr" && (len(o.topics) == 0 || o.payload == 0 || o.responseTopic == ""):
		return bad("All of topic, message, and response topic must be supplied.")
	case o.repeat > 1 && o.payload == 'l':
		return bad("--repeat does not go with -l.")
	case o.noStale && o.retainedOnly:
		return bad("-R and --retained-only exclude each other.")
	}
	for _, t := range o.topics {
		if o.tool != "sub" && topic.CheckName(t) != nil {
			return bad("Invalid publish topic '%s', does it contain '+' or '#'?", t)
		}
	}
	for _, f := range slices.Concat(o.filters(), o.filterOut, o.unsubscribe) {
		if err := topic.CheckFilter(f); err != nil {
			return bad("Invalid filter '%s': %v", f, err)
		}
	}
	if o.format != "" {
		if _, err := parseFormat(o.format); err != nil {
			return err
		}
	}
	return nil
}

// filters are what sub and rr subscribe to.
func (o *toolOptions) filters() []string {
	switch o.tool {
	case "sub":
		return o.topics
	case "rr":
		return []string{o.responseTopic}
	}
	return nil
}

// payloadOption notes how the message is given; only once.
func payloadOption(kind byte) func(*toolOptions, []string) error {
	return func(o *toolOptions, v []string) error {
		if o.payload != 0 {
			return bad("Only one type of message can be sent at once.")
		}
		o.payload = kind
		if kind == 'm' {
			o.message = v[0]
		} else if kind == 'f' {
			o.file = v[0]
		}
		return nil
	}
}

func setURL(o *toolOptions, v []string) error {
	scheme, rest, ok := strings.Cut(v[0], "://")
	where, topic, _ := strings.Cut(rest, "/")
	u, err := url.Parse("mqtt://" + where)
	if !ok || err != nil || u.Hostname() == "" || topic == "" {
		return bad("Invalid URL: want mqtt(s)|ws(s)://[user[:password]@]host[:port]/topic")
	}
	switch scheme {
	case "mqtt", "ws":
		o.noTLS = true
	case "mqtts", "wss":
		o.useTLS = true
	default:
		return bad("Unsupported URL scheme: want mqtt, mqtts, ws or wss")
	}
	o.ws = strings.HasPrefix(scheme, "ws")
	o.host = u.Hostname()
	if u.Port() != "" {
		if err := setPort(o, []string{u.Port()}); err != nil {
			return err
		}
	}
	if u.User != nil {
		o.username = u.User.Username()
		o.password, o.hasPassword = u.User.Password()
	}
	o.topics = append(o.topics, topic)
	return nil
}

func setPort(o *toolOptions, v []string) error {
	n, err := strconv.Atoi(v[0])
	if err != nil || n < 1 || n > 65535 {
		return bad("Invalid port given: %s", v[0])
	}
	o.port = n
	return nil
}

func setQoS(to func(*toolOptions) *mqtt.QoS) func(*toolOptions, []string) error {
	return func(o *toolOptions, v []string) error {
		if len(v[0]) != 1 || v[0] < "0" || v[0] > "2" {
			return bad("Invalid QoS given: %s", v[0])
		}
		*to(o) = mqtt.QoS(v[0][0] - '0')
		return nil
	}
}

func setVersion(o *toolOptions, v []string) error {
	versions := map[string]mqtt.Version{
		"mqttv31": mqtt.V31, "31": mqtt.V31, "mqttv311": mqtt.V311, "311": mqtt.V311, "mqttv5": mqtt.V5, "5": mqtt.V5,
	}
	var ok bool
	if o.version, ok = versions[v[0]]; !ok {
		return bad("Invalid protocol version argument given.")
	}
	return nil
}

func setTopic(o *toolOptions, v []string) error {
	o.topics = append(o.topics, v[0])
	return nil
}

func setExpiry(o *toolOptions, v []string) error {
	if _, err := expiry(v[0]); err != nil {
		return err
	}
	o.expiry, o.version = v[0], mqtt.V5
	return nil
}

func expiry(s string) (time.Duration, error) {
	if s == "-1" || s == "∞" {
		return client.Forever, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, bad("Invalid session-expiry-interval value.")
	}
	return time.Duration(n) * time.Second, nil
}

func seconds(what string, to func(*toolOptions) *time.Duration) func(*toolOptions, []string) error {
	return func(o *toolOptions, v []string) error {
		f, err := strconv.ParseFloat(v[0], 64)
		if err != nil || f < 0 || f > 1e9 {
			return bad("Invalid %s given: %s", what, v[0])
		}
		*to(o) = time.Duration(f * float64(time.Second))
		return nil
	}
}

func setTLSVersion(o *toolOptions, v []string) error {
	switch v[0] {
	case "tlsv1.2":
		o.tls.MinVersion, o.tls.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	case "tlsv1.3":
		o.tls.MinVersion = tls.VersionTLS13
	default:
		return bad("Unknown TLS version %s: want tlsv1.2 or tlsv1.3 (older ones are broken).", v[0])
	}
	o.useTLS = true
	return nil
}

// setCiphers takes OpenSSL's and IANA's names, separated by colons.
func setCiphers(o *toolOptions, v []string) error {
	for _, name := range strings.Split(v[0], ":") {
		found := false
		for _, suite := range tls.CipherSuites() {
			if name == suite.Name || name == opensslName(suite.Name) {
				o.tls.CipherSuites = append(o.tls.CipherSuites, suite.ID)
				found = true
			}
		}
		if !found {
			return bad("Unknown or unsafe TLS 1.2 cipher %s.", name)
		}
	}
	o.useTLS = true
	return nil
}

func opensslName(iana string) string {
	s := strings.TrimPrefix(iana, "TLS_")
	s = strings.Replace(s, "RSA_WITH_AES", "RSA-AES", 1)
	s = strings.NewReplacer("_WITH_", "-", "AES_", "AES", "POLY1305_SHA256", "POLY1305").Replace(s)
	return strings.TrimPrefix(strings.ReplaceAll(s, "_", "-"), "RSA-")
}

func setHandling(o *toolOptions, v []string) error {
	kinds := map[string]client.RetainHandling{"always": client.SendRetained, "new": client.SendRetainedIfNew, "never": client.NoRetained}
	var ok bool
	if o.handling, ok = kinds[v[0]]; !ok {
		return bad("Unknown value '%s' for --retain-handling: want always, new or never.", v[0])
	}
	return nil
}

// server is the URL the options name.
func (o *toolOptions) server() string {
	if o.unix != "" {
		return "unix://" + o.unix
	}
	secure := o.secure()
	port := o.port
	if port == 0 {
		port = 1883
		if secure {
			port = 8883
		}
	}
	scheme := "mqtt"
	if o.ws {
		scheme = "ws"
	}
	if secure {
		scheme += "s"
	}
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(o.host, strconv.Itoa(port))}
	if o.ws {
		u.Path = "/mqtt"
	}
	return u.String()
}

// secure: by an option of TLS's, or by its port.
func (o *toolOptions) secure() bool {
	return o.useTLS || o.port == 8883 && !o.noTLS && o.unix == ""
}

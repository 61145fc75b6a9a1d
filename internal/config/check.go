package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store/disk"
)

// Check names everything that cannot be, without a look at any file: in the
// order of the file, each with its key.
func (c *Config) Check() error {
	var errs []error
	fail := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf(path+": "+format, args...))
	}
	seen := map[string]int{}
	for i := range c.Listeners {
		l, at := &c.Listeners[i], fmt.Sprintf("listener.%d.", i)
		l.check(func(key, format string, args ...any) { fail(at+key, format, args...) })
		if n, twice := seen[l.URL]; twice && !strings.HasSuffix(l.URL, ":0") {
			fail(at+"url", "listener %d is there, too", n)
		}
		seen[l.URL] = i
	}
	if _, err := c.Data.Options(); err != nil {
		fail("data", "%w", err)
	}
	c.checkNumbers(fail)
	c.checkIdle(fail)
	c.Protect.check(fail)
	c.Admin.check(func(key, format string, args ...any) { fail("admin."+key, format, args...) })
	c.Telemetry.check(func(key, format string, args ...any) { fail("telemetry."+key, format, args...) })
	c.Trace.check(func(key, format string, args ...any) { fail("trace."+key, format, args...) })
	if _, _, err := c.Log.Slog(); err != nil {
		fail("log.level", "%w", err)
	}
	if w := c.HTTP.WhenDown; w != "refuse" && w != "next" {
		fail("http.when_down", "%q is neither refuse nor next", w)
	}
	if _, known := overRates[c.Limits.OverRate]; !known {
		fail("limits.over_rate", "%q is none of hold, refuse and disconnect", c.Limits.OverRate)
	}
	if r := c.Limits.ReplayRate; r > 0 && r < 100 {
		fail("limits.replay_rate", "%d is less than 100", r)
	}
	if m := c.Limits.MaxMemory; m > 0 && m < 16<<20 {
		fail("limits.max_memory", "%v is less than 16MiB", m)
	}
	if f := c.Log.Format; f != "text" && f != "json" {
		fail("log.format", "%q is neither text nor json", f)
	}
	if w := time.Duration(c.Process.Watch); w < 0 || w > 0 && w < 100*time.Millisecond {
		fail("process.watch", "want 0 or at least 100ms")
	}
	return errors.Join(errs...)
}

// checkIdle names keys that would do nothing without another: whoever wrote
// them believes that they do.
func (c *Config) checkIdle(fail func(path, format string, args ...any)) {
	idle := func(section string, of any, wants string) {
		for _, k := range keysOf(section, reflect.ValueOf(of).Elem()) {
			if k.said() {
				fail(k.Path, "does nothing without %s.%s", section, wants)
			}
		}
	}
	if len(c.JWT.Algorithms) == 0 {
		idle("jwt", &c.JWT, "algorithms")
	}
	if c.HTTP.URL == "" {
		h := c.HTTP
		if h.WhenDown == "refuse" { // the default
			h.WhenDown = ""
		}
		idle("http", &h, "url")
	}
	if !c.Trace.On() {
		idle("trace", &c.Trace, "client, user, address or topic")
	}
	if c.MQTT.StrictKeepAlive && c.MQTT.MaxKeepAlive == 0 {
		fail("mqtt.strict_keep_alive", "does nothing without mqtt.max_keep_alive")
	}
}

// The highest rates.
const (
	topMessages = 1e9
	topBytes    = min(1<<40, math.MaxInt)
)

// checkNumbers has package midge look at its own, and says them by their keys.
func (c *Config) checkNumbers(fail func(path, format string, args ...any)) {
	m, l := &c.MQTT, &c.Limits
	// A zero is a default there, and a mistake here.
	for _, n := range []struct {
		path     string
		value    int64
		low, top int64
	}{
		{"mqtt.max_qos", int64(m.MaxQoS), 0, 2},
		{"mqtt.topic_aliases", int64(m.TopicAliases), 0, 65535},
		{"mqtt.aliases_out", int64(m.AliasesOut), 0, 65535},
		{"mqtt.receive_maximum", int64(m.ReceiveMaximum), 1, 65535},
		{"limits.max_packet_size", int64(l.MaxPacketSize), 256, mqtt.MaxPacketSize},
		{"limits.max_payload", int64(l.MaxPayload), 0, mqtt.MaxPacketSize},
		{"limits.max_inflight", int64(l.MaxInflight), 1, 65535},
		{"limits.max_queued_messages", int64(l.MaxQueuedMessages), 1, 1 << 30},
		{"limits.max_queued_bytes", int64(l.MaxQueuedBytes), 1024, min(1<<40, math.MaxInt)},
		{"limits.max_topic_levels", int64(l.MaxTopicLevels), 1, 65535},
		{"limits.max_topic_length", int64(l.MaxTopicLength), 1, 65535},
		{"limits.max_replay", int64(l.MaxReplay), 0, 1 << 30},
		{"limits.replay_rate", int64(l.ReplayRate), 0, topMessages},
		{"limits.max_memory", int64(l.MaxMemory), 0, min(1<<50, math.MaxInt)},
		{"limits.client_message_rate", int64(l.ClientMessageRate), 0, topMessages},
		{"limits.client_byte_rate", int64(l.ClientByteRate), 0, topBytes},
		{"limits.message_rate", int64(l.MessageRate), 0, topMessages},
		{"limits.byte_rate", int64(l.ByteRate), 0, topBytes},
		{"limits.max_subscriptions", int64(l.MaxSubscriptions), 1, 1 << 30},
		{"limits.max_connections", int64(l.MaxConnections), 0, 1 << 30},
		{"limits.max_sessions", int64(l.MaxSessions), 1, 1 << 30},
		{"limits.max_retained", int64(l.MaxRetained), 1, 1 << 30},
		{"limits.max_retained_bytes", int64(l.MaxRetainedBytes), 1024, min(1<<40, math.MaxInt)},
		{"limits.memory", int64(l.Memory), 0, 1 << 50},
	} {
		if n.value < n.low || n.value > n.top {
			fail(n.path, "%d is not within %d to %d", n.value, n.low, n.top)
		}
	}
	for _, d := range []struct {
		path       string
		value, low Duration
		top        time.Duration
	}{
		{"mqtt.max_keep_alive", m.MaxKeepAlive, 0, 65535 * time.Second},
		{"mqtt.max_session_expiry", m.MaxSessionExpiry, Duration(-time.Second), 100 * 8766 * time.Hour},
		{"limits.rate_burst", l.RateBurst, Duration(500 * time.Millisecond), time.Hour},
		{"limits.connect_timeout", l.ConnectTimeout, Duration(time.Millisecond), time.Hour},
		{"limits.write_timeout", l.WriteTimeout, Duration(time.Millisecond), time.Hour},
	} {
		if d.value < d.low || d.value > Duration(d.top) {
			fail(d.path, "%v is not within %v to %v", d.value, d.low, d.top)
		}
	}
	if k := time.Duration(m.MaxKeepAlive); k > 0 && k < time.Second {
		fail("mqtt.max_keep_alive", "%v is less than a second", k)
	}
	if m.SysInterval == 0 {
		fail("mqtt.sys_interval", "0 is no interval; -1s turns $SYS off")
	}
}

// Options are those of a store, nil without one.
func (d *Data) Options() (*disk.Options, error) {
	durability, err := disk.ParseDurability(d.Durability)
	switch {
	case err != nil:
		return nil, err
	case d.Interval < 0:
		return nil, fmt.Errorf("interval is %v, want more than 0", d.Interval)
	case d.Interval > 0 && durability != disk.Interval:
		return nil, fmt.Errorf("interval goes with durability = interval, and it is %v", durability)
	case d.Dir == "":
		return nil, nil
	}
	return &disk.Options{Durability: durability, Interval: time.Duration(d.Interval)}, nil
}

// Place is where a listener is bound, as both its URL and the URL of a
// connection's listener have it: host:port, or the file of a unix socket.
func Place(listener string) string {
	u, err := url.Parse(listener)
	switch {
	case err != nil:
		return listener
	case u.Scheme == "unix":
		return path.Join(u.Path, u.Opaque)
	}
	return u.Host
}

// Secure reports whether the listener speaks TLS.
func (l *Listener) Secure() bool {
	kind, _, _ := strings.Cut(l.URL, ":")
	return kind == "tls" || kind == "mqtts" || kind == "wss"
}

func (l *Listener) web() bool {
	return strings.HasPrefix(l.URL, "ws")
}

func (l *Listener) check(fail func(key, format string, args ...any)) {
	u, err := url.Parse(l.URL)
	if err != nil || !slices.Contains([]string{"tcp", "mqtt", "tls", "mqtts", "ws", "wss", "unix"}, u.Scheme) {
		fail("url", "%q: want tcp://host:port, tls://host:port, ws://host:port/path, wss://host:port/path or unix:///path", l.URL)
		return
	}
	if u.Scheme != "unix" && u.Port() == "" && (u.Host == "" || u.Scheme[0] != 'w') {
		fail("url", "%q has no port", l.URL)
	} else if u.Scheme != "unix" {
		if _, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && err != nil {
			fail("url", "%q: there is no port %s", l.URL, u.Port())
		}
	}
	l.checkTLS(fail)
	if len(l.Origins) > 0 && !l.web() {
		fail("ws_origins", "is for ws and wss")
	}
	for _, p := range l.Protocols {
		if _, known := versions[p]; !known {
			fail("protocols", "%q is none of 3.1, 3.1.1 and 5", p)
		}
	}
	l.checkProxies(u.Scheme == "unix", fail)
	if l.IP != "" && l.IP != "4" && l.IP != "6" {
		fail("ip", "%q is neither 4 nor 6", l.IP)
	}
	if host := net.ParseIP(u.Hostname()); host != nil && l.IP != "" && (host.To4() != nil) != (l.IP == "4") {
		fail("ip", "%s is no address of IPv%s", host, l.IP)
	}
	if _, err := l.Mode(); err != nil {
		fail("unix_mode", "%w", err)
	}
	if l.UnixMode != "" && u.Scheme != "unix" {
		fail("unix_mode", "is for unix sockets")
	}
	if u.Scheme == "unix" && (l.IP != "" || l.Interface != "") {
		fail("ip", "and interface are not for unix sockets")
	}
	if l.MaxConnections < 0 {
		fail("max_connections", "is less than 0")
	}
	if l.MessageRate < 0 || l.MessageRate > topMessages {
		fail("message_rate", "%d is not within 0 to %d", l.MessageRate, topMessages)
	}
	if l.ByteRate < 0 || l.ByteRate > topBytes {
		fail("byte_rate", "%d is not within 0 to %d", l.ByteRate, topBytes)
	}
}

func (l *Listener) checkTLS(fail func(key, format string, args ...any)) {
	if !l.Secure() {
		for _, set := range []struct{ key, value string }{
			{"cert", l.Cert},
			{"key", l.Key},
			{"client_ca", l.ClientCA},
			{"client_cert", l.ClientCert},
			{"user_from_cert", l.UserFromCert},
			{"crl", strings.Join(l.CRL, "")},
			{"ciphers", strings.Join(l.Ciphers, "")},
		} {
			if set.value != "" {
				fail(set.key, "is for tls and wss, and this is %s", l.URL)
			}
		}
		return
	}
	if l.Cert == "" || l.Key == "" {
		fail("cert", "TLS needs cert and key")
	}
	switch l.ClientCert {
	case "":
	case "none":
		if l.ClientCA != "" {
			fail("client_ca", "does nothing with client_cert = none")
		}
	case "optional", "require":
		if l.ClientCA == "" {
			fail("client_cert", "%s needs client_ca", l.ClientCert)
		}
	default:
		fail("client_cert", "%q is none of none, optional and require", l.ClientCert)
	}
	if l.UserFromCert != "" && l.ClientCA == "" {
		fail("user_from_cert", "needs client_ca")
	}
	if len(l.CRL) > 0 && l.ClientCA == "" {
		fail("crl", "needs client_ca")
	}
	if l.CRLStale && len(l.CRL) == 0 {
		fail("crl_stale", "needs crl")
	}
	if _, ok := certNames[l.UserFromCert]; !ok && l.UserFromCert != "" {
		fail("user_from_cert", "%q is none of cn, subject, dns, email and uri", l.UserFromCert)
	}
	if l.TLSMin != "1.2" && l.TLSMin != "1.3" {
		fail("tls_min", "%q is neither 1.2 nor 1.3", l.TLSMin)
	}
	if _, err := cipherSuites(l.Ciphers); err != nil {
		fail("ciphers", "%w", err)
	}
}

// Mode is unix_mode; 0: unsaid.
func (l *Listener) Mode() (fs.FileMode, error) {
	if l.UnixMode == "" {
		return 0, nil
	}
	return parseMode(l.UnixMode)
}

func parseMode(s string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(s, 8, 9)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no mode, such as 0660", s)
	}
	return fs.FileMode(n), nil
}

var versions = map[string]mqtt.Version{"3.1": mqtt.V31, "3.1.1": mqtt.V311, "5": mqtt.V5, "5.0": mqtt.V5}

// Speaks reports whether clients of a version are served.
func (l *Listener) Speaks(v mqtt.Version) bool {
	return len(l.Protocols) == 0 || slices.ContainsFunc(l.Protocols, func(p string) bool { return versions[p] == v })
}

// openSSLNames are the suites of TLS 1.2 that Go has, as OpenSSL calls them.
var openSSLNames = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// CipherKnown reports whether a suite of TLS 1.2 is there, and safe.
func CipherKnown(name string) bool {
	_, err := cipherSuites([]string{name})
	return err == nil
}

func cipherSuites(names []string) (ids []uint16, err error) {
	for _, n := range names {
		id, ok := openSSLNames[n]
		for _, s := range tls.CipherSuites() {
			if s.Name == n && slices.Contains(s.SupportedVersions, tls.VersionTLS12) {
				id, ok = s.ID, true
			}
		}
		if !ok {
			return nil, fmt.Errorf("%q is no safe cipher suite of TLS 1.2", n)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// HasTLS reports whether a listener speaks TLS and has its certificate.
func (c *Config) HasTLS() bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Secure() && l.Cert != "" })
}

// Local reports whether nobody from elsewhere can connect.
func (l *Listener) Local() bool {
	u, err := url.Parse(l.URL)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "unix" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Anonymous reports whether clients come in without credentials.
func (c *Config) Anonymous(l *Listener) bool {
	switch {
	case l.AllowAnonymous != nil:
		return *l.AllowAnonymous
	case c.Auth.AllowAnonymous != nil:
		return *c.Auth.AllowAnonymous
	}
	return l.Local() && !l.ProxyProtocol
}

// Locked reports whether nobody can come in at all.
func (c *Config) Locked(l *Listener) bool {
	return !c.Anonymous(l) && l.PasswordFile == "" && c.Auth.PasswordFile == "" && l.UserFromCert == "" &&
		c.HTTP.URL == "" && len(c.JWT.Algorithms) == 0
}

package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The annotated file has every key, and says what is so without it.
func TestDefaultFile(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefault(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Parse("midge.toml", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Complete()
	if empty := []string{}; true { // TOML has empty lists where Go has nil
		l := &want.Listeners[0]
		l.CRL, l.Ciphers, l.Origins, l.Protocols, l.Proxies, want.Auth.IDPrefixes = empty, empty, empty, empty, empty, empty
		want.JWT.Algorithms, want.JWT.KeyFiles, want.Telemetry.Attributes = empty, empty, empty
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it says\n%+v\nand not\n%+v", got, want)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	section := ""
	said := map[string]bool{}
	for l := range strings.Lines(b.String()) {
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "[") {
			section = strings.Trim(l, "[]")
		}
		if key, _, ok := strings.Cut(strings.TrimPrefix(l, "#"), " = "); ok && !strings.Contains(key, " ") {
			said[section+"."+key] = true
		}
	}
	for _, k := range want.Keys() {
		if path := strings.Replace(k.Path, "listener.0", "listener", 1); !said[path] {
			t.Errorf("%s is not there", path)
		}
		if k.Help == "" {
			t.Errorf("%s is not explained", k.Path)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"[limits]\nmax_paket_size = 5\n", "m.toml:2: there is no key max_paket_size in [limits]; did you mean max_packet_size?"},
		{"[limts]\nmax_packet_size = 5\n", "there is no section [limts]; did you mean limits?"},
		{"\n\n[[listener]]\nulr = 'tcp://:1883'\n", "m.toml:4: there is no key ulr in [listener]; did you mean url?"},
		{"[mqtt]\ndurability = 'always'\n", "m.toml:2: there is no key durability in [mqtt]; there is one in [data]"},
		{"durability = 'always'\n", "durability stands in [data]"},
		{"[limits]\nmax_inflight = 'many'\n", "m.toml:2:"},
		{"[limits]\nconnect_timeout = 'soon'\n", `"soon" is no duration`},
		{"[limits]\nmax_packet_size = '5 parsec'\n", `"5 parsec" is no size`},
		{"[limits\n", "m.toml:1:"},
		{"[log]\nlevel = 'info'\nlevel = 'warn'\n", "m.toml:3"},
	} {
		_, err := Parse("m.toml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: want %q in %v", c.text, c.says, err)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct{ set, says string }{
		{"listener.0.url=http://x", "listener.0.url: "},
		{"listener.0.url=tcp://127.0.0.1", "no port"},
		{"listener.0.url=tls://:1", "listener.0.cert: TLS needs"},
		{"listener.0.cert=x", "listener.0.cert: is for tls"},
		{"listener.0.ip=5", "neither 4 nor 6"},
		{"listener.0.ip=6", "no address of IPv6"},
		{"listener.0.protocols=3.1.1,4", `"4" is none of`},
		{"listener.0.unix_mode=0660", "unix sockets"},
		{"listener.0.ws_origins=*", "ws and wss"},
		{"listener.1.url=tcp://127.0.0.1:1883", "listener 0 is there, too"},
		{"mqtt.max_qos=3", "mqtt.max_qos: 3 is not within 0 to 2"},
		{"mqtt.max_keep_alive=1ms", "less than a second"},
		{"mqtt.sys_interval=0", "turns $SYS off"},
		{"limits.max_inflight=0", "limits.max_inflight"},
		{"limits.max_packet_size=1", "limits.max_packet_size: 1 is not within 256"},
		{"limits.connect_timeout=-1s", "limits.connect_timeout"},
		{"data.durability=sometimes", "always, interval or none"},
		{"log.level=loud", "log.level"},
		{"http.when_down=panic", "neither refuse nor next"},
		{"log.format=xml", "neither text nor json"},
		{"process.watch=1ms", "process.watch"},
		{"jwt.issuer=x", "jwt.issuer: does nothing without jwt.algorithms"},
		{"jwt.key_files=x", "jwt.key_files: does nothing"},
		{"http.token_file=x", "http.token_file: does nothing without http.url"},
		{"http.when_down=next", "http.when_down: does nothing"},
		{"mqtt.strict_keep_alive=true", "does nothing without mqtt.max_keep_alive"},
		{"listener.0.proxies=10.0.0.1", "listener.0.proxies: does nothing"},
		{"listener.0.proxy_protocol=true", "takes the addresses of the proxies"},
		{"listener.0.proxy_require_tls=true", "does nothing without proxy_protocol"},
		{"listener.0.proxies=10.0.0.0/99", "is no address"},
		{"protect.connections_per_address=-1", "protect.connections_per_address: -1 is not within"},
		{"protect.exempt=10.0.0.0/33", `"10.0.0.0/33" is no address`},
		{"protect.ban_time=2h", "protect.max_ban_time: is less"},
		{"protect.within=1ms", "protect.within"},
		{"admin.url=ftp://x:1", "admin.url: "},
		{"admin.url=http://127.0.0.1", "no port"},
		{"admin.url=http://127.0.0.1:1/x", "at the root"},
		{"admin.url=http://:9883", "admin.token_file: http://:9883 is for other machines"},
		{"admin.url=https://127.0.0.1:9883", "admin.cert: https needs"},
		{"admin.url=unix://", "names no file"},
	} {
		cfg := Default()
		cfg.Complete()
		key, value, _ := strings.Cut(c.set, "=")
		if err := cfg.Set(key, value); err != nil {
			t.Errorf("%s: %v", c.set, err)
			continue
		}
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: want %q in %v", c.set, c.says, err)
		}
	}
}

// Client certificates are asked for, or nothing is said about them.
func TestCheckCertificates(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"client_ca = 'ca'\nuser_from_cert = 'cn'\ncrl = ['r']\ncrl_stale = true\n", ""},
		{"client_ca = 'ca'\nclient_cert = 'none'\n", "client_ca: does nothing"},
		{"client_cert = 'require'\n", "client_cert: require needs client_ca"},
		{"client_cert = 'never'\n", "none of none"},
		{"user_from_cert = 'cn'\n", "user_from_cert: needs client_ca"},
		{"crl = ['r']\n", "crl: needs client_ca"},
		{"crl_stale = true\n", "crl_stale: needs crl"},
	} {
		cfg, err := Parse("m.toml", []byte("[[listener]]\nurl = 'tls://:8883'\ncert = 'c'\nkey = 'k'\n"+c.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := cfg.Check(); c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: want %q in %v", c.text, c.says, err)
		}
	}
}

// The environment says what the file can, listeners too.
func TestEnvironment(t *testing.T) {
	c := Default()
	err := c.ReadEnv([]string{
		"PATH=/bin", "MIDGE_PORT_1883_TCP=x", "MIDGE_LOG=x", "MIDGE_LISTENER_1_URL=ws://:8080/mqtt", "MIDGE_LISTENER_0_URL=tcp://:1883", "MIDGE_LISTENER_0_ALLOW_ANONYMOUS=true",
		"MIDGE_LIMITS_MAX_PACKET_SIZE=64KiB", "MIDGE_LISTENER_1_WS_ORIGINS=https://a.example, https://b.example", "MIDGE_LIMITS_WRITE_TIMEOUT=1d",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Listeners) != 2 || c.Listeners[0].URL != "tcp://:1883" || !*c.Listeners[0].AllowAnonymous || len(c.Listeners[1].Origins) != 2 {
		t.Errorf("%+v", c.Listeners)
	}
	if c.Limits.MaxPacketSize != 65536 || c.Limits.WriteTimeout != Duration(24*time.Hour) {
		t.Errorf("%+v", c.Limits)
	}
	for _, e := range []string{"MIDGE_LIMITS_MAX_PAKET_SIZE=5", "MIDGE_LIMITS_MAX_INFLIGHT=x", "MIDGE_LISTENER_7_URL=x"} {
		if err := c.ReadEnv([]string{e}); err == nil {
			t.Errorf("%s is taken", e)
		} else if strings.Contains(e, "PAKET") && !strings.Contains(err.Error(), "MIDGE_LIMITS_MAX_PACKET_SIZE?") {
			t.Error(err)
		}
	}
}

// What is written is read as the same.
func TestWriteAndRead(t *testing.T) {
	c := Default()
	yes := true
	l := c.ListenAt("tls://:8883")
	l.Cert, l.Key, l.CRL, l.AllowAnonymous = "/c\"\\\n.pem", "/k.pem", []string{"/a.crl", "/b.crl"}, &yes
	c.Limits.MaxQueuedBytes, c.MQTT.MaxKeepAlive, c.MQTT.Retain = 3<<20, Duration(90*time.Minute), false
	var b bytes.Buffer
	if err := c.Write(&b, map[string]string{"mqtt.retain": "as it was"}); err != nil {
		t.Fatal(err)
	}
	got, err := Parse("/x/m.toml", b.Bytes())
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("%v\n%s\n%+v\n%+v", err, b.String(), got, c)
	}
	if !strings.Contains(b.String(), "# as it was\nretain = false\n") || strings.Contains(b.String(), "max_qos") {
		t.Error(b.String())
	}
}

func TestTake(t *testing.T) {
	c := Default()
	c.ListenAt("tcp://:1").MaxConnections = 3
	c.ListenAt("tcp://:2")
	next := Default()
	next.ListenAt("tcp://:2").ACLFile = "x"
	next.ListenAt("tcp://:1").Nagle = true
	next.ListenAt("tcp://:3")
	next.Log.Level, next.Data.Dir = "warn", "/d"
	now, live, restart := c.Take(next)
	if got := strings.Join(live, " "); got != "listener.0.max_connections listener.1.acl_file log.level" {
		t.Errorf("live: %s", got)
	}
	if got := strings.Join(restart, " "); got != "listener listener.0.nagle data.dir" {
		t.Errorf("restart: %s", got)
	}
	if now.Data.Dir != "" || now.Log.Level != "warn" || now.Listeners[0].Nagle || now.Listeners[0].MaxConnections != 0 || now.Listeners[1].ACLFile != "x" {
		t.Errorf("%+v", now)
	}
	if c.Log.Level != "info" || next.Data.Dir != "/d" || !next.Listeners[1].Nagle {
		t.Error("what was compared has changed")
	}
}

// Files are looked for beside the one that names them.
func TestLoadResolvesPaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "m.toml")
	text := "[auth]\npassword_file = 'p'\nacl_file = '/acl'\n[log]\nto = 'm.log'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil || c.Auth.PasswordFile != filepath.Join(dir, "p") || c.Auth.ACLFile != "/acl" || c.Log.To != filepath.Join(dir, "m.log") {
		t.Errorf("%v: %+v %+v", err, c.Auth, c.Log)
	}
	if got := strings.Join(c.Files(), " "); got != filepath.Join(dir, "p")+" /acl" {
		t.Error(got)
	}
	if _, err := Load(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there is read")
	}
}

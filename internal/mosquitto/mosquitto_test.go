package mosquitto

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/midgemq/midge/internal/config"
)

var update = flag.Bool("update", false, "write docs/mosquitto.md")

// names are the directives that Mosquitto 2.1 takes.
const names = `
accept_protocol_versions acl_file address addresses allow_anonymous allow_duplicate_messages allow_zero_length_clientid
auth_opt_* auth_plugin auth_plugin_deny_special_chars auto_id_prefix autosave_interval autosave_on_changes bind_address
bind_interface bridge_alpn bridge_attempt_unsubscribe bridge_bind_address bridge_cafile bridge_capath bridge_certfile
bridge_ciphers bridge_ciphers_tls1.3 bridge_identity bridge_insecure bridge_keyfile bridge_max_packet_size
bridge_max_topic_alias bridge_outgoing_retain bridge_protocol_version bridge_psk bridge_receive_maximum bridge_reload_type
bridge_require_ocsp bridge_session_expiry_interval bridge_tcp_keepalive bridge_tcp_user_timeout bridge_tls_use_os_certs
bridge_tls_version cafile capath certfile check_retain_source ciphers ciphers_tls1.3 cleansession clientid
clientid_prefixes connection connection_messages crlfile dhparamfile disable_client_cert_date_checks enable_control_api
enable_proxy_protocol global_max_clients global_max_connections global_plugin http_dir idle_timeout include_dir
keepalive_interval keyfile listener listener_allow_anonymous listener_auto_id_prefix local_cleansession local_clientid
local_password local_username log_dest log_facility log_timestamp log_timestamp_format log_type max_connections
max_inflight_bytes max_inflight_messages max_keepalive max_packet_size max_qos max_queued_bytes max_queued_messages
max_topic_alias max_topic_alias_broker maximum_qos memory_limit message_size_limit mount_point mptcp notification_topic
notifications notifications_local_only packet_buffer_size password password_file per_listener_settings persistence
persistence_file persistence_location persistent_client_expiration pid_file plugin plugin_load plugin_opt_* plugin_use
port protocol proxy_protocol_v2_require_tls psk_file psk_hint queue_qos0_messages remote_clientid remote_password
remote_username require_certificate restart_timeout retain_available retain_expiry_interval retained_persistence
retry_interval round_robin set_tcp_nodelay socket_domain start_type sys_interval threshold tls_engine
tls_engine_kpass_sha1 tls_keyform tls_version topic try_private upgrade_outgoing_qos use_identity_as_username
use_subject_as_username use_username_as_clientid user username websockets_headers_size websockets_log_level
websockets_origin`

// Every directive has its line, and at least 85 of 100 work.
func TestTable(t *testing.T) {
	want := strings.Fields(names)
	for _, n := range want {
		if find(n) == nil {
			t.Errorf("%s is not in the table", n)
		}
	}
	for i, d := range table {
		if !slices.Contains(want, d.Name) {
			t.Errorf("Mosquitto has no %s", d.Name)
		}
		if d.How == "" || i > 0 && table[i-1].Name == d.Name {
			t.Errorf("%s: not explained, or there twice", d.Name)
		}
		if d.Verdict != Refused && d.take == nil {
			t.Errorf("%s is %v, and nothing takes it", d.Name, d.Verdict)
		}
	}
	h, d, r := Shares()
	if share := 100 * (h + d) / (h + d + r); share < 85 {
		t.Errorf("%d honoured, %d differently, %d refused: %d of 100 work", h, d, r, share)
	}
}

func TestDocument(t *testing.T) {
	const file = "../../docs/mosquitto.md"
	want := Markdown()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the table says (%v): go test ./internal/mosquitto -update", file, err)
	}
}

// keyOf is what each directive that is honoured changes: a sample, and the key
// with its value.
var samples = []struct{ text, key, value string }{
	{"acl_file /a", "auth.acl_file", "/a"},
	{"allow_anonymous true", "auth.allow_anonymous", "true"},
	{"listener 1", "auth.allow_anonymous", "false"},
	{"allow_zero_length_clientid false", "auth.assign_ids", "false"},
	{"clientid_prefixes dev-", "auth.id_prefixes", `["dev-"]`},
	{"connection_messages false", "log.connections", "false"},
	{"global_max_connections 7", "limits.max_connections", "7"},
	{"global_max_clients 7", "limits.max_sessions", "7"},
	{"log_timestamp false", "log.time", "false"},
	{"log_type error\nlog_type warning", "log.level", `"warn"`},
	{"log_dest file /l", "log.to", `"/l"`},
	{"max_inflight_messages 0", "limits.max_inflight", "65535"},
	{"max_keepalive 60", "mqtt.max_keep_alive", `"1m"`},
	{"max_keepalive 60", "mqtt.strict_keep_alive", "true"},
	{"max_packet_size 100", "limits.max_packet_size", `"256"`},
	{"max_queued_bytes 0", "limits.max_queued_bytes", `"1TiB"`},
	{"max_inflight_bytes 1048576\nmax_queued_bytes 1048576", "limits.max_queued_bytes", `"2MiB"`},
	{"max_queued_messages 9", "limits.max_queued_messages", "9"},
	{"memory_limit 33554432", "limits.max_memory", `"32MiB"`},
	{"memory_limit 1", "limits.max_memory", `"16MiB"`},
	{"message_size_limit 1000", "limits.max_payload", `"1000"`},
	{"password_file /p", "auth.password_file", `"/p"`},
	{"persistence true\npersistence_location /var/lib/mosquitto/", "data.dir", `"/var/lib/mosquitto/midge"`},
	{"retained_persistence true\npersistence_location /d", "data.dir", `"/d/midge"`},
	{"persistent_client_expiration 2m", "mqtt.max_session_expiry", `"1440h"`},
	{"pid_file /run/m.pid", "process.pid_file", `"/run/m.pid"`},
	{"retain_available false", "mqtt.retain", "false"},
	{"set_tcp_nodelay false", "listener.0.nagle", "true"},
	{"sys_interval 0", "mqtt.sys_interval", `"-1s"`},
	{"port 1999\nbind_address ::1", "listener.0.url", `"tcp://[::1]:1999"`},
	{"bind_address 127.0.0.1", "listener.0.url", `"tcp://127.0.0.1:1883"`},
	{"listener 1 127.0.0.1", "listener.0.url", `"tcp://127.0.0.1:1"`},
	{"listener 0 /run/s", "listener.0.url", `"unix:///run/s"`},
	{"listener 1\nprotocol websockets", "listener.0.url", `"ws://:1/mqtt"`},
	{"listener 1\nprotocol websockets\nwebsockets_origin http://x", "listener.0.ws_origins", `["http://x"]`},
	{"listener 1\ncertfile /c\nkeyfile /k", "listener.0.url", `"tls://:1"`},
	{"listener 1\ncertfile /c\nkeyfile /k", "listener.0.key", `"/k"`},
	{"listener 1\ncertfile /c\nkeyfile /k\ntls_version tlsv1.3", "listener.0.tls_min", `"1.3"`},
	{"listener 1\ncertfile /c\nkeyfile /k\nciphers HIGH:ECDHE-RSA-AES128-GCM-SHA256", "listener.0.ciphers", `["ECDHE-RSA-AES128-GCM-SHA256"]`},
	{"listener 1\ncertfile /c\nkeyfile /k\ncafile /ca\nrequire_certificate true", "listener.0.client_ca", `"/ca"`},
	{"listener 1\ncertfile /c\nkeyfile /k\ncapath /ca\nrequire_certificate true", "listener.0.client_ca", `"/ca"`},
	{"listener 1\ncertfile /c\nkeyfile /k\ncapath /ca\nrequire_certificate true\ncrlfile /crl", "listener.0.crl", `["/crl"]`},
	{"listener 1\ncertfile /c\nkeyfile /k\ncafile /ca\nrequire_certificate true", "listener.0.client_cert", `"require"`},
	{"listener 1\ncertfile /c\nkeyfile /k\ncafile /ca\nrequire_certificate true\nuse_identity_as_username true", "listener.0.user_from_cert", `"cn"`},
	{"listener 1\ncertfile /c\nkeyfile /k\ncafile /ca\nrequire_certificate true\nuse_subject_as_username true", "listener.0.user_from_cert", `"subject"`},
	{"listener 1\naccept_protocol_versions 3, 5", "listener.0.protocols", `["3.1", "5"]`},
	{"listener 1\nbind_interface lo", "listener.0.interface", `"lo"`},
	{"listener 1\nmax_connections 5", "listener.0.max_connections", "5"},
	{"listener 1\nenable_proxy_protocol 2", "listener.0.proxy_protocol", "true"},
	{"listener 1\nenable_proxy_protocol 2\nproxy_protocol_v2_require_tls true", "listener.0.proxy_require_tls", "true"},
	{"listener 1\nsocket_domain ipv6", "listener.0.ip", `"6"`},
	{"listener 1\nlistener_allow_anonymous true", "listener.0.allow_anonymous", "true"},
	{"listener 1\nmax_qos 1\nlistener 2\nmaximum_qos 2", "mqtt.max_qos", "1"},
	{"listener 1\nmax_topic_alias 3\nlistener 2\nmax_topic_alias 8", "mqtt.topic_aliases", "8"},
	{"listener 1\nmax_topic_alias_broker 3", "mqtt.aliases_out", "3"},
	{"per_listener_settings true\nlistener 1\npassword_file /p1\nlistener 2\npassword_file /p2\nallow_anonymous true", "listener.1.password_file", `"/p2"`},
	{"per_listener_settings true\nlistener 1\nacl_file /a1\nlistener 2", "listener.0.acl_file", `"/a1"`},
	{"per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2", "listener.1.allow_anonymous", "false"},
	{"retry_interval 5\ndhparamfile /x\nlistener 1", "listener.0.url", `"tcp://:1"`},
}

// What the table calls honoured has an effect, and is the key it names.
func TestSamples(t *testing.T) {
	covered := map[string]bool{"include_dir": true} // below
	for _, s := range samples {
		c := load(t, s.text).Config
		found := false
		var b strings.Builder
		if err := c.Write(&b, nil); err != nil {
			t.Fatal(err)
		}
		for _, k := range c.Keys() {
			if k.Path == s.key {
				found = true
				if got := strings.Trim(k.Text(), `"`); got != strings.Trim(s.value, `"`) {
					t.Errorf("%q: %s is %s, want %s", s.text, s.key, got, s.value)
				}
			}
		}
		if !found {
			t.Errorf("%q: there is no %s", s.text, s.key)
		}
		if _, err := config.Parse("/m.toml", []byte(b.String())); err != nil {
			t.Errorf("%q: what is written cannot be read: %v\n%s", s.text, err, b.String())
		}
		for _, line := range strings.Split(s.text, "\n") {
			name, _, _ := strings.Cut(line, " ")
			covered[name] = true
		}
	}
	for _, d := range table {
		if d.Verdict == Honoured && !covered[d.Name] {
			t.Errorf("%s is called honoured and not tried", d.Name)
		}
	}
}

func load(t *testing.T, text string) *Read {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Load(file)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return r
}

// What is refused, or done differently, is said with its line.
func TestNotes(t *testing.T) {
	for _, d := range table {
		line := strings.Replace(d.Name, "*", "x", 1) + " true"
		file := filepath.Join(t.TempDir(), "m.conf")
		if err := os.WriteFile(file, []byte("# first\n"+line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Load(file)
		switch {
		case d.Verdict == Refused && (err != nil || len(r.Refused()) != 1 || r.Notes[0].Place != file+":2" || r.Notes[0].Text != d.How):
			t.Errorf("%s: %v, %+v", line, err, r)
		case d.Verdict != Refused && err == nil && len(r.Refused()) > 0 && d.Name != "tls_keyform":
			t.Errorf("%s is refused, and %v in the table", line, d.Verdict)
		}
	}
	r := load(t, "upgrade_outgoing_qos false\nlistener 1\nprotocol http_api\nlistener 2\ntls_version tlsv1.1")
	if len(r.Notes) != 2 || !r.Notes[0].Refused || r.Notes[1].Refused || len(r.Config.Listeners) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"persistance true", "m.conf:1: there is no directive persistance"},
		{"\npersistence", "m.conf:2: persistence: a value is missing"},
		{"persistence yes", "neither true nor false"},
		{"max_qos 3", "no number within 0 to 2"},
		{"listener x", "no port"},
		{"listener 0", "unix socket"},
		{"log_type loud", "no log_type"},
		{"persistent_client_expiration 5", "no period"},
		{"listener 1\ncertfile /c\nuse_identity_as_username true\nrequire_certificate false", "m.conf:3: nobody can come in without require_certificate"},
		{"password_file /p\nper_listener_settings true", "before every setting"},
	} {
		file := filepath.Join(t.TempDir(), "m.conf")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: want %q in %v", c.text, c.says, err)
		}
	}
}

// Without a listener it is this machine alone, and everybody on it.
func TestNothingSaid(t *testing.T) {
	c := load(t, "").Config
	if len(c.Listeners) != 1 || c.Listeners[0].URL != "tcp://127.0.0.1:1883" || !c.Anonymous(&c.Listeners[0]) {
		t.Errorf("%+v", c.Listeners)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// Included files come in order, and each begins with the default listener.
func TestInclude(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.conf": "listener 2\n", "a.conf": "listener 1\nmax_connections 1\n", "c.conf": "max_connections 3\n", "d.txt": "nonsense\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := load(t, "listener 9\ninclude_dir "+dir+"\nmax_connections 9\n")
	var got []string
	for _, l := range r.Config.Listeners {
		got = append(got, l.URL+" "+string(rune('0'+l.MaxConnections)))
	}
	if want := "tcp://:1883 3,tcp://:9 9,tcp://:1 1,tcp://:2 0"; strings.Join(got, ",") != want || len(r.Files) != 4 || len(r.Dirs) != 1 {
		t.Errorf("%s\n%v", strings.Join(got, ","), r.Files)
	}
}

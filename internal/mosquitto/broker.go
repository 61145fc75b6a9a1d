package mosquitto

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/midgemq/midge/internal/config"
)

func brokerDirectives() []Directive {
	all := []Directive{
		{"allow_duplicate_messages", Broker, Differently, "a message goes to a client once, with the identifiers of all its subscriptions that match", noted},
		{"allow_zero_length_clientid", Broker, Honoured, "`auth.assign_ids`", boolean(func(p *parser, b bool) { p.c.Auth.AssignIDs = b })},
		{"auto_id_prefix", Broker, Differently, "identifiers that are assigned have midge's own form", noted},
		{"autosave_interval", Broker, Differently, "what is acknowledged is stored by then: `data.durability`", noted},
		{"autosave_on_changes", Broker, Differently, "as autosave_interval", noted},
		{"check_retain_source", Broker, Differently, "rights are asked when a message is published and when it is received; not again those of its publisher", noted},
		{"clientid_prefixes", Broker, Honoured, "`auth.id_prefixes`", func(p *parser, v string) (string, error) {
			p.c.Auth.IDPrefixes = []string{v}
			return "", nil
		}},
		{"connection_messages", Broker, Honoured, "`log.connections`", boolean(func(p *parser, b bool) { p.c.Log.Connections = b })},
		{"global_max_clients", Broker, Differently, "`limits.max_sessions`, which counts sessions that may outlive their connections", number(-1, 1<<30, func(p *parser, n int) {
			if n > 0 {
				p.c.Limits.MaxSessions = n
			}
		})},
		{"global_max_connections", Broker, Honoured, "`limits.max_connections`", number(-1, 1<<30, func(p *parser, n int) { p.c.Limits.MaxConnections = max(n, 0) })},
		{"include_dir", Broker, Honoured, "its files are read in order of their names", (*parser).includeDir},
		{"log_dest", Broker, Differently, "`log.to`: stderr, stdout or file, one of them; syslog is stderr, which systemd hands to it; topic and dlt are not there", (*parser).logDest},
		{"log_facility", Broker, Differently, "systemd has it: SyslogFacility=", noted},
		{"log_timestamp", Broker, Honoured, "`log.time`", boolean(func(p *parser, b bool) { p.c.Log.Time = b })},
		{"log_timestamp_format", Broker, Differently, "times are written as in RFC 3339", noted},
		{"log_type", Broker, Differently, "`log.level`: the lowest of those named, and all above it", (*parser).logType},
		{"max_inflight_bytes", Broker, Differently, "`limits.max_queued_bytes` counts what is in flight, too", number(0, topBytes, func(p *parser, n int) { p.inflightBytes = n })},
		{"max_inflight_messages", Broker, Honoured, "`limits.max_inflight`", number(0, 65535, func(p *parser, n int) { p.c.Limits.MaxInflight = orTop(n, 65535) })},
		{"max_keepalive", Broker, Honoured, "`mqtt.max_keep_alive`, `mqtt.strict_keep_alive`", number(0, 65535, func(p *parser, n int) {
			p.c.MQTT.MaxKeepAlive, p.c.MQTT.StrictKeepAlive = seconds(n), n > 0
		})},
		{"max_packet_size", Broker, Honoured, "`limits.max_packet_size`, at least 256", number(20, 268435460, func(p *parser, n int) { p.c.Limits.MaxPacketSize = config.Size(max(n, 256)) })},
		{"max_queued_bytes", Broker, Honoured, "`limits.max_queued_bytes`", number(0, topBytes, func(p *parser, n int) { p.c.Limits.MaxQueuedBytes = config.Size(max(orTop(n, topBytes), 1024)) })},
		{"max_queued_messages", Broker, Honoured, "`limits.max_queued_messages`", number(0, 1<<30, func(p *parser, n int) { p.c.Limits.MaxQueuedMessages = orTop(n, 1<<30) })},
		{"memory_limit", Broker, Differently, "`limits.max_memory`, at least 16MiB: of what clients take, not of all the process does", number(0, topBytes, func(p *parser, n int) { p.c.Limits.MaxMemory = config.Size(budget(n)) })},
		{"message_size_limit", Broker, Honoured, "`limits.max_payload`", number(0, 268435455, func(p *parser, n int) { p.c.Limits.MaxPayload = config.Size(n) })},
		{"per_listener_settings", Broker, Honoured, "the settings become those of their listeners", (*parser).perListener},
		{"persistence", Broker, Honoured, "`data.dir`", boolean(func(p *parser, b bool) { p.persistence = b })},
		{"retained_persistence", Broker, Honoured, "another name of persistence", boolean(func(p *parser, b bool) { p.persistence = b })},
		{"persistence_file", Broker, Differently, "`data.dir` is a folder; what is in Mosquitto's file is not taken over", noted},
		{"persistence_location", Broker, Honoured, "`data.dir` is the folder midge in it", func(p *parser, v string) (string, error) {
			p.location = v
			return "", nil
		}},
		{"persistent_client_expiration", Broker, Honoured, "`mqtt.max_session_expiry`", (*parser).expiration},
		{"pid_file", Broker, Honoured, "`process.pid_file`", func(p *parser, v string) (string, error) {
			p.c.Process.PIDFile = v
			return "", nil
		}},
		{"queue_qos0_messages", Broker, Refused, "messages of QoS 0 are not kept for who is away (false is honoured)", onlyFalse},
		{"retain_available", Broker, Honoured, "`mqtt.retain`", boolean(func(p *parser, b bool) { p.c.MQTT.Retain = b })},
		{"retain_expiry_interval", Broker, Differently, "a message past its expiry is never sent; when its memory is won back is midge's affair", noted},
		{"retry_interval", Broker, Honoured, "as in Mosquitto, nothing is sent again on a live connection", ignored},
		{"set_tcp_nodelay", Broker, Honoured, "`nagle` of each listener, where it is false", boolean(func(p *parser, b bool) { p.nagle = !b })},
		{"sys_interval", Broker, Honoured, "`mqtt.sys_interval`", number(0, 65535, func(p *parser, n int) {
			if p.c.MQTT.SysInterval = seconds(n); n == 0 {
				p.c.MQTT.SysInterval = seconds(-1)
			}
		})},
		{"upgrade_outgoing_qos", Broker, Refused, "MQTT forbids it (false is honoured)", onlyFalse},
		{"user", Broker, Differently, "midge keeps the user that started it: say User= in its systemd unit", noted},
		{"websockets_headers_size", Broker, Differently, "headers may have 16 KiB", noted},
		{"packet_buffer_size", Broker, Differently, "buffers grow as needed", noted},
		{"websockets_log_level", Broker, Differently, "`log.level` is about everything", noted},
	}
	return append(all, securityDirectives()...)
}

// securityDirectives belong to a listener after per_listener_settings true.
func securityDirectives() []Directive {
	return []Directive{
		{"acl_file", Broker, Honoured, "`acl_file` of `[auth]` or a listener; the file works as it is", func(p *parser, v string) (string, error) {
			*p.security(&p.c.Auth.ACLFile, func(l *listener) *string { return &l.ACLFile }) = v
			return "", nil
		}},
		{"allow_anonymous", Broker, Honoured, "`allow_anonymous` of `[auth]` or a listener; as in Mosquitto, unsaid is false unless no listener is named", boolean(func(p *parser, b bool) {
			if p.perListenerSettings {
				p.here().AllowAnonymous = &b
			} else {
				p.c.Auth.AllowAnonymous = &b
			}
		})},
		{"password_file", Broker, Honoured, "`password_file` of `[auth]` or a listener; sha512, sha512-pbkdf2 and argon2id work as they are", func(p *parser, v string) (string, error) {
			*p.security(&p.c.Auth.PasswordFile, func(l *listener) *string { return &l.PasswordFile }) = v
			return "", nil
		}},
		{"psk_file", Broker, Refused, "Go's TLS has no pre-shared keys: use certificates", nil},
	}
}

// topBytes is the most that is counted; less where an int has 32 bits.
const topBytes = min(1<<40, math.MaxInt)

// orTop is n, and the highest there is for Mosquitto's 0: none.
func orTop(n, top int) int {
	if n == 0 {
		return top
	}
	return n
}

// budget is n bytes, as far as midge has so small a bound.
func budget(n int) int {
	if n == 0 {
		return 0
	}
	return max(n, 16<<20)
}

func seconds(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }

// logTypes are levels by how much they say.
var logTypes = map[string]int{
	"none": 0, "error": 1, "warning": 2, "notice": 3, "information": 3,
	"debug": 4, "subscribe": 4, "unsubscribe": 4, "internal": 4, "websockets": 4, "all": 4,
}

func (p *parser) logType(v string) (string, error) {
	n, ok := logTypes[v]
	if !ok {
		return "", fmt.Errorf("there is no log_type %q", v)
	}
	p.verbosity = max(p.verbosity, n)
	p.c.Log.Level = []string{"none", "error", "warn", "info", "debug"}[p.verbosity]
	return "", nil
}

func (p *parser) logDest(v string) (string, error) {
	kind, rest, _ := strings.Cut(v, " ")
	to := ""
	switch kind {
	case "none":
		p.c.Log.Level = "none"
		return "", nil
	case "stderr", "syslog":
		to = "stderr"
	case "stdout":
		to = "stdout"
	case "file":
		if to = strings.TrimSpace(rest); to == "" {
			return "", fmt.Errorf("log_dest file wants the name of a file")
		}
	case "topic", "dlt", "android":
		return "the log does not go to " + kind, nil
	default:
		return "", fmt.Errorf("there is no log_dest %q", kind)
	}
	if p.logged != "" && p.logged != to {
		return "the log goes to " + p.logged + " already", nil
	}
	p.logged, p.c.Log.To = to, to
	if kind == "syslog" {
		return "the log goes to stderr, which systemd hands to syslog", nil
	}
	return "", nil
}

func (p *parser) perListener(v string) (string, error) {
	b, err := truth(v)
	if err == nil && b && !p.perListenerSettings && p.securitySaid {
		return "", fmt.Errorf("has to come before every setting of security")
	}
	p.perListenerSettings = p.perListenerSettings || b
	return "", err
}

func (p *parser) expiration(v string) (string, error) {
	units := map[byte]time.Duration{'s': 1, 'h': 3600, 'd': 86400, 'w': 7 * 86400, 'm': 30 * 86400, 'y': 365 * 86400}
	n, err := strconv.ParseInt(v[:len(v)-1], 10, 64)
	unit, ok := units[v[len(v)-1]]
	if err != nil || !ok || n < 1 || n > 100*365*86400/int64(unit) {
		return "", fmt.Errorf("%q is no period, such as 14d or 2m", v)
	}
	p.c.MQTT.MaxSessionExpiry = config.Duration(time.Duration(n) * unit * time.Second)
	return "", nil
}

func (p *parser) includeDir(dir string) (string, error) {
	if p.depth > 0 {
		return "", fmt.Errorf("stands in the main file alone")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.conf")) // sorted
	if err != nil {
		return "", err
	}
	p.dirs = append(p.dirs, dir)
	p.depth++
	defer func() { p.depth-- }()
	for _, f := range files {
		if err := p.file(f); err != nil {
			return "", err
		}
	}
	return "", nil
}

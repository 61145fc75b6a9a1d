package client_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// espTable says for everything ESP-MQTT has (configuration fields, functions,
// events) what is here instead, and which test shows it; where a row has no
// test, ours says why there is nothing to show. docs/client.md has the rows.
const espTable = `
broker.address.uri | Config.Servers | TestTrapURLIsEnough
broker.address.hostname, .port | in the URL | TestTrapURLIsEnough
broker.address.path | in the URL, ws and wss | TestTrapURLIsEnough
broker.address.transport | the URL's scheme | TestTrapURLIsEnough
broker.verification.use_global_ca_store | TLS.Roots, one pool for all clients | TestTLS
broker.verification.crt_bundle_attach | the default: the system's roots; or TLS.Roots | TestTLS
broker.verification.certificate, _len | TLS.CA or CAFile, PEM or DER by content | TestTLS
broker.verification.psk_hint_key | Options.Dial with a TLS stack that has PSK; crypto/tls has not | TestOwnDialer
broker.verification.skip_cert_common_name_check | TLS.AnyName (the chain is still verified) | TestTLS
broker.verification.common_name | TLS.ServerName | TestTLS
broker.verification.alpn_protos | TLS.ALPN | TestTLS
broker.verification.ciphersuites_list | TLS.CipherSuites (TLS 1.2; those of 1.3 are fixed in Go) | TestTLS
credentials.username | Options.Username, or in the URL | TestConnectSaysEverything
credentials.client_id | Options.ClientID | TestConnectSaysEverything
credentials.set_null_client_id | Options.AssignedID | TestConnackIsTakenDown
credentials.authentication.password | Options.Password, or in the URL | TestTrapCredentials
credentials.authentication.certificate, _len | TLS.Cert or CertFile | TestTLS
credentials.authentication.key, _len | TLS.Key or KeyFile | TestTLS
credentials.authentication.key_password, _len | TLS.KeyPassword | TestKeys
credentials.authentication.use_secure_element | TLS.Signer | TestTLS
credentials.authentication.ds_data | TLS.Signer | TestTLS
credentials.authentication.use_ecdsa_peripheral, ecdsa_key_efuse_blk | TLS.Signer | TestTLS
session.last_will.topic, msg, msg_len, qos, retain | Options.Will | TestConnectSaysEverything
session.disable_clean_session | Options.SessionExpiry, CleanStart | TestSessionOutlivesTheProgram
session.keepalive | Options.KeepAlive | TestTrapPingWhileHandlersAreSlow
session.disable_keepalive | negative Options.KeepAlive | TestTrapKeepAliveOff
session.protocol_ver | Options.Version | TestVersionFallback
session.message_retransmit_timeout | none: nothing is sent again on a live connection, which MQTT 5 forbids | TestTrapDuplicates
network.reconnect_timeout_ms | Config.Backoff | TestTrapFirstConnectIsRetried
network.timeout_ms | Options.ConnectTimeout, WriteTimeout, and the ctx of each call | TestWriteTimeout
network.refresh_connection_after_ms | Config.RefreshAfter | TestRefresh
network.disable_auto_reconnect | Config.Retry with an error; or Conn | TestTrapJitter
network.tcp_keep_alive_cfg | Options.TCPKeepAlive | TestSocketOptions
network.transport | Options.Dial | TestOwnDialer
network.if_name | Options.Interface, LocalAddr | TestSocketOptions
task.priority, task.stack_size | none: goroutines have neither |
buffer.size | Options.MaxPacketSize; buffers grow as needed | TestServersFaults
buffer.out_size | none: the buffer grows as needed, to a fixed bound |
outbox.limit | Options.MaxQueuedBytes, MaxQueuedMessages, Overflow | TestTrapOutbox
esp_mqtt_client_init | New | TestOptionsAreChecked
esp_mqtt_client_set_uri | Attempt.Server in Config.BeforeConnect | TestServerReferences
esp_mqtt_set_config | Attempt.Options in Config.BeforeConnect | TestTrapCredentials
esp_mqtt_client_start | Client.Start, Connect | TestTrapStateIsExplicit
esp_mqtt_client_stop | Client.Disconnect; the outbox stays | TestTrapStopInAHandler
esp_mqtt_client_destroy | Client.Close, Shutdown | TestTrapCloseTwice
esp_mqtt_client_disconnect | Client.Reconnect (it reconnects) | TestTrapReconnectFromAnEvent
esp_mqtt_client_reconnect | Client.Reconnect | TestTrapReconnectFromAnEvent
esp_mqtt_client_subscribe, _single, _multiple | Client.Subscribe; waits for a connection | TestTrapSubscriptionsGone
esp_mqtt_client_unsubscribe | Client.Unsubscribe | TestRoundTrips
esp_mqtt_client_publish | Client.Publish; returns when acknowledged | TestTrapResultAcrossReconnect
esp_mqtt_client_enqueue | Client.Enqueue | TestTrapOutbox
esp_mqtt_client_register_event, unregister_event | Config.OnEvent, Client.Events, Client.Handle | TestTrapStateIsExplicit
esp_mqtt_dispatch_custom_event | none: Go programs have channels |
esp_mqtt_client_get_outbox_size | Client.Stats, Outbox | TestTrapOutbox
esp_mqtt_client_get_transport | none: Options.Dial makes the transport and can keep it | TestOwnDialer
esp_mqtt_client_get_state | Client.State | TestTrapStateIsExplicit
esp_mqtt5_client_set_connect_property | Options | TestConnectSaysEverything
esp_mqtt5_client_set_publish_property | on the message: mqtt.Message.Properties | TestTrapPropertiesOnTheMessage
esp_mqtt5_client_set_subscribe_property | on the Subscription | TestSubscribeOptions
esp_mqtt5_client_set_unsubscribe_property | UnsubscribeWith | TestSubscribeOptions
esp_mqtt5_client_set_disconnect_property | Goodbye | TestNothingFollowsDisconnect
esp_mqtt5_client_set_user_property, get, count, delete | a slice: mqtt.UserProperty | TestTrapPropertiesOnTheMessage
connection property session_expiry_interval | Options.SessionExpiry | TestConnectSaysEverything
connection property maximum_packet_size | Options.MaxPacketSize | TestConnectSaysEverything
connection property receive_maximum | Options.ReceiveMaximum | TestConnectSaysEverything
connection property topic_alias_maximum | Options.TopicAliasMaximum | TestTrapAliasAcrossReconnect
connection property request_resp_info | Options.RequestResponseInfo | TestRequests
connection property request_problem_info | Options.NoProblemInfo | TestConnectSaysEverything
connection property will_delay_interval and the will's others | Will | TestConnectSaysEverything
publish property topic_alias | automatic; Options.MaxAliases | TestTrapAliasAcrossReconnect
publish property payload_format_indicator and others | mqtt.Properties | TestTrapPropertiesOnTheMessage
subscribe property subscribe_id | Subscription.ID, chosen for a Handler | TestTrapOverlappingSubscriptions
subscribe property no_local_flag, retain_as_published_flag, retain_handle | Subscription | TestSubscribeOptions
subscribe property is_share_subscribe, share_name | the filter: $share/NAME/FILTER | TestTrapOverlappingSubscriptions
disconnect property session_expiry_interval, disconnect_reason | Goodbye | TestNothingFollowsDisconnect
MQTT_EVENT_ANY | Config.OnEvent | TestTrapStateIsExplicit
MQTT_EVENT_BEFORE_CONNECT | Config.BeforeConnect | TestTrapCredentials
MQTT_EVENT_CONNECTED | StateEvent Connected, with Info | TestConnackIsTakenDown
MQTT_EVENT_DISCONNECTED | StateEvent Pausing or Idle, with Err | TestTrapStateIsExplicit
MQTT_EVENT_SUBSCRIBED | what Subscribe returns; SubscribedEvent | TestTrapSubscriptionsGone
MQTT_EVENT_UNSUBSCRIBED | what Unsubscribe returns | TestRoundTrips
MQTT_EVENT_PUBLISHED | what Publish returns; Pending; PublishedEvent | TestSessionOutlivesTheProgram
MQTT_EVENT_DATA | Handler | TestTrapMessageBeforeHandler
MQTT_EVENT_DATA in parts (offset, total) | Options.StreamAbove | TestTrapFragments
MQTT_EVENT_ERROR | errors of calls and of StateEvent | TestRefusals
MQTT_EVENT_DELETED | ErrExpired of Pending and PublishedEvent | TestTrapOutbox
MQTT_USER_EVENT | none: Go programs have channels |
CONFIG_MQTT_MSG_ID_INCREMENTAL | always: identifiers count up and skip those in use | TestTrapPacketIdentifiers
CONFIG_MQTT_SKIP_PUBLISH_IF_DISCONNECTED | check State, or Publish at QoS 0 | TestTrapContextEverywhere
CONFIG_MQTT_REPORT_DELETED_MESSAGES | always | TestTrapOutbox
CONFIG_MQTT_OUTBOX_EXPIRED_TIMEOUT_MS | a message's own MessageExpiry, in every version | TestTrapOutbox
CONFIG_MQTT_TOPIC_PRESENT_ALL_DATA_EVENTS | always | TestTrapFragments
CONFIG_MQTT_CUSTOM_OUTBOX | Config.Store | TestSessionOutlivesTheProgram
CONFIG_MQTT_DISABLE_API_LOCKS | none: Go programs share clients between goroutines |
CONFIG_MQTT_TASK_CORE_SELECTION_ENABLED, memory placement | none: the Go runtime decides |
`

func TestEverythingOfESPMQTT(t *testing.T) {
	tests := map[string]bool{}
	files, _ := filepath.Glob("*_test.go")
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests[fn.Name.Name] = true
			}
		}
	}
	doc, err := os.ReadFile("../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(strings.TrimSpace(espTable)) {
		cells := strings.Split(strings.TrimSpace(line), " |")
		rows++
		theirs, ours, test := cells[0], strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
		if test == "" && !strings.HasPrefix(ours, "none: ") {
			t.Errorf("%s: neither a test nor a reason", theirs)
		}
		if test != "" && !tests[test] {
			t.Errorf("%s: there is no %s", theirs, test)
		}
		if !strings.Contains(string(doc), "| "+theirs+" | "+ours+" |") {
			t.Errorf("docs/client.md lacks the row\n| %s | %s |", theirs, ours)
		}
	}
	if rows < 90 {
		t.Errorf("%d rows", rows)
	}
}

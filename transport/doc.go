// Package transport carries byte streams: listeners, and the dialers that
// mirror them, for TCP, TLS, unix sockets, WebSocket over either, and an
// in-memory pipe. It knows no MQTT beyond the WebSocket subprotocol and ALPN
// names its callers can replace.
//
// # One address form
//
// Listen, Dial and Listener.String speak URLs:
//
//	tcp://127.0.0.1:1883   (also mqtt://)   port 1883 when absent
//	tls://[::1]:8883       (also mqtts://)  port 8883
//	ws://127.0.0.1:8080/mqtt                port 80, path /mqtt
//	wss://broker.example/mqtt               port 443, path /mqtt
//	unix:///run/midge.sock
//
// # Nobody waits for a stranger
//
// Accept never waits for a peer. The TLS handshake happens in Conn.Handshake,
// which the connection's own goroutine calls with a deadline; a WebSocket
// upgrade happens inside the listener, under Options.HandshakeTimeout, and
// Accept delivers finished ones.
//
// # One net.Conn
//
// Every Conn keeps net.Conn's promises, WebSocket included: a Read that ran
// into its deadline can be repeated later without losing a byte. As with TLS,
// a Write that ran into its deadline may have sent a part, and the connection
// is then good for closing only.
package transport

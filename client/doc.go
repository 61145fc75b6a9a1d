// Package client is an MQTT client for 3.1, 3.1.1 and 5.0. A [Conn] is one
// connection; a [Client] keeps itself connected, and keeps its promises
// through broken connections and, with a [Store], restarts of the program.
//
// # What may be called where
//
// Everything, anywhere: handlers, events and hooks run in goroutines of their
// own, never in the one that reads the connection, and no lock is held over
// them. A handler may publish and wait for the acknowledgement, subscribe,
// make a request, or close the client.
//
// # What a result means
//
// A call returns nil only for what the server has acknowledged (at QoS 0: what
// has been handed to the socket's writer). A call that is given up says
// whether the message was withdrawn, [ErrNotSent], or is on its way,
// [ErrUnacknowledged]. Nothing is sent twice on one connection.
//
// # Order
//
// Messages go out in the order they were published, those of QoS 0 among
// themselves and those of QoS 1 and 2 among themselves. Handlers get the
// messages of one topic in the order they came, one at a time;
// [Options.Concurrency] lets different topics overlap.
//
// # To find one's way
//
// client.go, loop.go: staying connected. conn.go, writer.go, connect.go: one
// connection. session.go: what outlives it. publish.go, subscribe.go: the
// calls. dispatch.go, route.go: the way to a handler. store.go, filestore.go,
// record.go: what outlives the program.
package client

// Package midge is an MQTT broker for MQTT 3.1, 3.1.1 and 5.0, made to be
// embedded: one call runs it, hooks let the program decide who may do what,
// and Publish and Subscribe make the program a client without a connection.
//
//	err := midge.Run(ctx, midge.Config{}) // serves 127.0.0.1:1883 until ctx ends
//
// # How it works, in one comment
//
// A connection's goroutine owns its link: it reads a batch, takes every packet
// in it through its stages, and then each connection the batch touched is
// written once. It reaches another session only through the subscription
// index, which it reads without a lock, and that session's bounded outbox and
// queue. It holds no lock while it calls a hook or a socket. Locks nest in
// one order, session before outbox, and never two of a kind; Broker.mu is
// never held with either.
//
// # Where to find what
//
//	config.go hooks.go info.go      what a program says and sees
//	broker.go registry.go           the broker, its sessions, connections and their ends
//	conn.go outbox.go               one connection: reading, writing
//	connect.go publish.go subscribe.go retain.go will.go   one packet's work each
//	session.go subscription.go      what outlives a connection
//	route.go scratch.go message.go  from one publisher to many subscribers
//	local.go sys.go                 subscribers inside the program; $SYS
package midge

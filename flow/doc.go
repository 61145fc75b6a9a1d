// Package flow holds the state of QoS 1 and 2: which packet identifiers are in
// use and how far each exchange has come. It moves no bytes.
//
// The two directions of a session have separate identifier spaces, and so
// they are separate types that cannot be mixed up: [Outbound] for messages
// this end sends, [Inbound] for messages it receives. Both belong to the
// session and outlive a connection; Resume tells them a new one has begun.
//
// Storage is either handed in and never grows (a microcontroller) or grows up
// to its limit (a server). Nothing here locks: the owner of the session does.
package flow

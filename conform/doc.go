// Package conform is a black-box conformance suite for MQTT brokers: named
// checks that speak raw packets to a [Target] and look at what comes back,
// and a ledger of the standards' normative statements that says which check
// proves which statement.
//
// The suite has its own small encoder and its own strict decoder. It shares no
// code with the codec it judges, so one mistake cannot hide on both sides.
//
// A check runs once for each protocol version it names, on connections of its
// own, with client identifiers and topics no other run uses. After its own
// work every check opens one more connection: a broker that answered well and
// died of it has not passed.
//
// Nothing here reads the wall clock beyond the time package, so an in-process
// target over an in-memory pipe can run inside a testing/synctest bubble, and
// checks of keep alive, will delay and expiry then cost no real time.
//
// To add a check: write func(t *T) in the check_*.go file of its chapter and
// list it, with the statements it proves, at the top of that file; then run
// go test ./conform -update to rewrite docs/conformance.md.
package conform

// Package bench loads an MQTT broker and measures what it does: throughput in
// several shapes, latency at a fixed rate, connect storms, idle clients,
// retained messages, and subscriptions by the million.
//
// A Load, a Clients or a Retained is a workload: fill in where the broker is
// and what it is to be given, and Run returns a Report, which writes itself as
// text or JSON.
//
// # What makes it cheap
//
// The generator shall cost far less than what it measures. PUBLISH packets are
// encoded before the start; sending one means to patch its sequence number
// into a buffer that holds many, and to write that buffer. What a read brings
// is taken apart in place and answered with one write. Nothing is allocated
// per message.
//
// # What makes it honest
//
// Every message carries its publisher, a sequence number and, at a fixed rate,
// the time at which it was due. So what is lost, doubled or out of order is
// found, and a publisher that is held up does not hide the latency of the
// messages it could not send: they count from when they were due (no
// coordinated omission).
//
// A publisher has at most Window messages on their way, end to end, so that
// what is measured is what a broker can carry rather than what it drops.
package bench

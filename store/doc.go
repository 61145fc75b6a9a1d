// Package store says what a broker has to remember so that no acknowledgement
// it gave turns out to be a lie: sessions with their subscriptions, the messages
// queued for them and in flight to them, the QoS 2 identifiers they hold,
// retained messages and wills.
//
// A [Store] takes changes in the order of the calls and waits for nothing; it
// says later how far they are safe. Whoever acknowledges something notes the
// [Position] of the change that it promises and lets the acknowledgement go once
// that is durable. After a failure a store holds what some prefix of the changes
// made, and at least all that was durable: never a change without the ones
// before it.
//
// Package memory keeps it all in memory, package disk in files; package
// storetest proves any implementation.
package store

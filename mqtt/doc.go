// Package mqtt is the vocabulary every other package speaks: protocol
// versions, qualities of service, packet identifiers, reason codes, messages
// and the limits one end announces to the other.
//
// It holds no state, does no I/O and imports nothing of midge; nothing in it
// allocates.
package mqtt

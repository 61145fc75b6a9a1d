// Package trace says what can be watched in a broker, and in which words: the
// events of one client, user, address or topic (midge.Broker.Trace), and the
// journeys of single messages (midge.Broker.Sample).
//
// Nothing here holds a credential: passwords and authentication data are never
// looked at, user properties are left out, and payloads are, unless asked for.
package trace

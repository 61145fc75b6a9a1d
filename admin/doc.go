// Package admin shows an operator a running broker, and lets one act on it,
// over HTTP: metrics for Prometheus, whether it lives and is ready, who is
// connected, who is slow and who talks most; disconnecting a client.
//
// A [Handler] is an http.Handler for one broker, so a program that embeds the
// broker mounts it where it likes; midge serve does so with [admin] url. A
// [Client] is the other end. docs/observability.md lists what there is.
package admin

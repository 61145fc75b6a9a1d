// Package telemetry sends what a broker counts, and the journeys of sampled
// messages, to an OpenTelemetry collector: metrics and traces over OTLP/HTTP.
//
// It speaks the protocol itself and needs no SDK (docs/decisions/0009). A
// program that does not import it carries none of it, and a broker without an
// [Exporter] does nothing for it.
package telemetry

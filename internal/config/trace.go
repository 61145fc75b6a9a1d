package config

import "github.com/midgemq/midge/trace"

// Trace is what the log is told of single clients and topics.
type Trace struct {
	Client  string `toml:"client" live:"yes" help:"Of the client with this identifier."`
	User    string `toml:"user" live:"yes" help:"Of clients with this user name."`
	Address string `toml:"address" live:"yes" help:"Of clients from this IP address, or network such as 192.0.2.0/24."`
	Topic   string `toml:"topic" live:"yes" help:"Of messages that this filter matches, and of subscriptions to them; # is all."`
	Packets bool   `toml:"packets" live:"yes" help:"Every packet in and out, too."`
	Payload int    `toml:"payload" live:"yes" help:"So many bytes of each payload."`
}

// On reports whether there is anything to trace.
func (t *Trace) On() bool { return t.Client+t.User+t.Address+t.Topic != "" }

// Filter is what to trace, without an end.
func (t *Trace) Filter() trace.Filter {
	return trace.Filter{
		Client: t.Client, User: t.User, Address: t.Address, Topic: t.Topic,
		Packets: t.Packets, Payload: t.Payload, For: -1, Events: -1,
	}
}

func (t *Trace) check(fail func(key, format string, args ...any)) {
	if t.On() {
		for key, f := range map[string]trace.Filter{"address": {Address: t.Address}, "topic": {Topic: t.Topic}, "payload": {Payload: t.Payload}} {
			if _, err := f.Resolve(); err != nil {
				fail(key, "%w", err)
			}
		}
	}
}

package main

import "strings"

// A workload is one line of the comparison: what midge bench is called with,
// and which of its figures counts. Less is better in all of them.
type workload struct {
	key    string
	title  string
	args   string
	figure string
	unit   string
	tls    bool
	timed  bool // goes on for so many seconds
}

const cpu = "broker_cpu_us_per_message"

// group is the chart a workload is drawn in.
func (w workload) group() string {
	switch {
	case strings.HasPrefix(w.key, "latency"):
		return "latency"
	case w.unit == "B":
		return "memory"
	case w.figure == cpu:
		return "cpu"
	}
	return "other"
}

var workloads = []workload{
	{key: "pairs", title: "QoS 0, 10 pairs", args: "pairs", figure: cpu, unit: "µs", timed: true},
	{key: "pairs-one", title: "QoS 0, 100 pairs, one in flight", args: "pairs --clients 100 --window 1", figure: cpu, unit: "µs", timed: true},
	{key: "fanout-100", title: "QoS 0, fan-out 1 to 100", args: "fanout --clients 100", figure: cpu, unit: "µs", timed: true},
	{key: "fanout-1000", title: "QoS 0, fan-out 1 to 1,000", args: "fanout --clients 1000", figure: cpu, unit: "µs", timed: true},
	{key: "fanin-100", title: "QoS 0, fan-in 100 to 1", args: "fanin --clients 100", figure: cpu, unit: "µs", timed: true},
	{key: "all-8", title: "QoS 0, 8 clients all to all", args: "all --clients 8", figure: cpu, unit: "µs", timed: true},
	{key: "all-8-one", title: "QoS 0, 8 clients all to all, one in flight", args: "all --clients 8 --window 1", figure: cpu, unit: "µs", timed: true},
	{key: "wildcard-100", title: "QoS 0, 100 topics to 100 wildcards", args: "wildcard --clients 100", figure: cpu, unit: "µs", timed: true},
	{key: "qos1", title: "QoS 1, 10 pairs, window 20", args: "pairs --qos 1", figure: cpu, unit: "µs", timed: true},
	{key: "qos1-one", title: "QoS 1, 100 pairs, window 1", args: "pairs --qos 1 --clients 100 --window 1", figure: cpu, unit: "µs", timed: true},
	{key: "qos2", title: "QoS 2, 10 pairs, window 20", args: "pairs --qos 2", figure: cpu, unit: "µs", timed: true},
	{key: "16k", title: "QoS 0, 10 pairs, 16 KiB", args: "pairs --payload 16384", figure: cpu, unit: "µs", timed: true},
	{key: "v5", title: "QoS 0, 10 pairs, MQTT 5.0", args: "pairs -V 5", figure: cpu, unit: "µs", timed: true},
	{key: "tls", title: "QoS 0, 10 pairs, TLS", args: "pairs --insecure", figure: cpu, unit: "µs", timed: true, tls: true},
	{key: "filters-1k", title: "10 pairs, 1,000 wildcard filters", args: "filters --clients 10 --filters 100", figure: cpu, unit: "µs", timed: true},
	{
		key: "filters-100k", title: "10 pairs, 100,000 wildcard filters", args: "filters --clients 10 --filters 10000", figure: cpu, unit: "µs", timed: true,
	},

	{key: "latency-qos0", title: "p99 at 10,000 messages/s, QoS 0", args: "pairs --rate 10000", figure: "p99_us", unit: "µs", timed: true},
	{key: "latency-qos1", title: "p99 at 10,000 messages/s, QoS 1", args: "pairs --rate 10000 --qos 1", figure: "p99_us", unit: "µs", timed: true},
	{
		key: "latency-replay", title: "p99 of a bystander while 100,000 retained messages are replayed", args: "retained --messages 100000", figure: "p99_us", unit: "µs",
	},

	{key: "idle", title: "memory of an idle client, 19,000", args: "idle --clients 19000", figure: "rss_bytes_per_client", unit: "B"},
	{key: "idle-subscribed", title: "with one subscription", args: "idle --clients 19000 --subscribe", figure: "rss_bytes_per_client", unit: "B"},
	{
		key: "filter-memory", title: "memory of a wildcard filter, 100,000", args: "filters --clients 10 --filters 10000 --messages 100", figure: "rss_bytes_per_filter", unit: "B",
	},
	{
		key: "retained-memory", title: "memory of a retained message, 100,000", args: "retained --messages 100000", figure: "rss_bytes_per_message", unit: "B",
	},

	{key: "connect", title: "a client that connects and leaves", args: "connect --clients 5000", figure: "broker_cpu_us_per_connect", unit: "µs"},
	{
		key: "replay", title: "one of 100,000 retained messages replayed", args: "retained --messages 100000", figure: "broker_cpu_us_per_replay", unit: "µs",
	},
}

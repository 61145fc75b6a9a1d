package admin

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/protect"
)

// A Metric is one family that /metrics shows. Names and labels stay. No label
// has values that clients choose.
type Metric struct {
	Name, Help string
	Counter    bool   // it only grows; otherwise a gauge
	Label      string // "" without one
	values     func(*scrape) []value
}

// A value is one sample of a family.
type value struct {
	label string // of its label
	v     float64
}

// A scrape is what there is to show at one time.
type scrape struct {
	midge.Stats
	Process
	shield *protect.Counts // nil: there is none
	ready  bool
}

// Metrics are all families, in the order in which they are shown.
func Metrics() []Metric {
	one := func(f func(*scrape) float64) func(*scrape) []value {
		return func(s *scrape) []value { return []value{{v: f(s)}} }
	}
	gauge := func(name, help string, f func(*scrape) float64) Metric {
		return Metric{Name: "midge_" + name, Help: help, values: one(f)}
	}
	counter := func(name, help string, f func(*scrape) uint64) Metric {
		return Metric{Name: "midge_" + name, Help: help, Counter: true, values: one(func(s *scrape) float64 { return float64(f(s)) })}
	}
	byField := func(name, label, help string, f func(*scrape) any) Metric {
		return Metric{Name: "midge_" + name, Label: label, Help: help, Counter: true, values: func(s *scrape) []value { return fields(f(s)) }}
	}
	all := []Metric{
		{Name: "midge_build_info", Label: "version", Help: "1, labelled with the version.", values: func(s *scrape) []value { return []value{{s.Version, 1}} }},
		gauge("ready", "1 if the broker should get new clients, as /readyz says.", func(s *scrape) float64 { return truth(s.ready) }),
		{Name: "midge_connections", Label: "listener", Help: "Open connections, those that are not let in yet included.", values: perListener},
		{Name: "midge_clients", Label: "version", Help: "Connected clients, by version of MQTT.", values: perVersion},
		gauge("clients_peak", "Most clients connected at once since the start.", func(s *scrape) float64 { return float64(s.MostClients) }),
		gauge("sessions_away", "Sessions whose client is not connected.", func(s *scrape) float64 { return float64(s.Away) }),
		gauge("subscriptions", "Subscriptions, shared ones included.", func(s *scrape) float64 { return float64(s.Subscriptions) }),
		gauge("shared_subscriptions", "Members of groups of shared subscriptions.", func(s *scrape) float64 { return float64(s.SharedSubscriptions) }),
		gauge("retained_messages", "Retained messages, those of $-topics included.", func(s *scrape) float64 { return float64(s.Retained) }),
		gauge("retained_bytes", "Memory of retained messages, those of $-topics left out.", func(s *scrape) float64 { return float64(s.RetainedBytes) }),
		gauge("queued_messages", "Messages of QoS 1 and 2 that wait to be sent.", func(s *scrape) float64 { return float64(s.Queued) }),
		gauge("queued_bytes", "Memory of these.", func(s *scrape) float64 { return float64(s.QueuedBytes) }),
		gauge("inflight_messages", "Messages of QoS 1 and 2 sent and not acknowledged.", func(s *scrape) float64 { return float64(s.Inflight) }),
		gauge("memory_held_bytes", "Memory held for clients, as limits.max_memory counts it.", func(s *scrape) float64 { return float64(s.Memory) }),
		gauge("store_stuck", "1 while the store takes nothing, and messages of QoS 1 and 2 are refused.", func(s *scrape) float64 { return truth(s.StoreStuck) }),
		counter("received_bytes_total", "Bytes of MQTT from clients.", func(s *scrape) uint64 { return s.In.Bytes }),
		counter("received_packets_total", "Packets from clients.", func(s *scrape) uint64 { return s.In.Packets }),
		counter("received_messages_total", "PUBLISH packets from clients.", func(s *scrape) uint64 { return s.In.Messages }),
		counter("sent_bytes_total", "Bytes of MQTT to clients.", func(s *scrape) uint64 { return s.Out.Bytes }),
		counter("sent_packets_total", "Packets to clients.", func(s *scrape) uint64 { return s.Out.Packets }),
		counter("sent_messages_total", "PUBLISH packets to clients.", func(s *scrape) uint64 { return s.Out.Messages }),
		counter("program_published_messages_total", "Messages published by the program itself, $SYS left out.", func(s *scrape) uint64 { return s.PublishedHere }),
		counter("program_delivered_messages_total", "Messages delivered to subscribers inside the program.", func(s *scrape) uint64 { return s.DeliveredHere }),
		counter("connects_total", "Clients let in.", func(s *scrape) uint64 { return s.Connects }),
		byField("connections_refused_total", "reason", "Connections that nobody was let in by.", func(s *scrape) any { return s.Refused }),
		byField("denied_total", "action", "What rules and hooks did not allow.", func(s *scrape) any { return s.Denied }),
		byField("dropped_messages_total", "reason", "Messages that a subscriber did not get.", func(s *scrape) any { return s.Dropped }),
		byField("limited_total", "limit", "How often a bound was met.", func(s *scrape) any { return s.Limited }),
		counter("stalled_clients_total", "Clients cut off for taking no byte in write_timeout.", func(s *scrape) uint64 { return s.StalledClients }),
		counter("sessions_expired_total", "Sessions that ended while their client was away.", func(s *scrape) uint64 { return s.SessionsEnded }),
	}
	return slices.Concat(all, protectMetrics(), processMetrics())
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func perListener(s *scrape) (all []value) {
	for _, l := range s.Listeners {
		all = append(all, value{l.URL, float64(l.Connections)})
	}
	return all
}

func perVersion(s *scrape) []value {
	return []value{{"3.1", float64(s.ClientsV31)}, {"3.1.1", float64(s.ClientsV311)}, {"5.0", float64(s.ClientsV5)}}
}

// fields are the counters of a struct, labelled with their names in JSON.
func fields(v any) (all []value) {
	r := reflect.ValueOf(v)
	for i := range r.NumField() {
		all = append(all, value{r.Type().Field(i).Tag.Get("json"), float64(r.Field(i).Uint())})
	}
	return all
}

func (h *Handler) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	s := h.scrape()
	expose(w, &s)
}

func (h *Handler) scrape() scrape {
	return scrape{Stats: h.b.Stats(), Process: readProcess(), shield: h.guarded(), ready: h.notReady() == nil}
}

var escaped = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// expose writes the text format of Prometheus, version 0.0.4.
func expose(w io.Writer, s *scrape) {
	for _, m := range Metrics() {
		kind := "gauge"
		if m.Counter {
			kind = "counter"
		}
		values := m.values(s)
		if len(values) == 0 {
			continue
		}
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.Name, m.Help, m.Name, kind)
		for _, v := range values {
			labels := ""
			if m.Label != "" {
				labels = "{" + m.Label + `="` + escaped.Replace(v.label) + `"}`
			}
			fmt.Fprintf(w, "%s%s %s\n", m.Name, labels, strconv.FormatFloat(v.v, 'f', -1, 64))
		}
	}
}

// processMetrics are under the names that other programs have given them.
func processMetrics() []Metric {
	some := func(name, help string, counter bool, f func(*Process) float64) Metric {
		return Metric{Name: name, Help: help, Counter: counter, values: func(s *scrape) []value {
			if v := f(&s.Process); v > 0 { // unknown on this system otherwise
				return []value{{v: v}}
			}
			return nil
		}}
	}
	return []Metric{
		{Name: "go_info", Label: "version", Help: "1, labelled with the version of Go.", values: func(*scrape) []value { return []value{{runtime.Version(), 1}} }},
		some("go_goroutines", "Goroutines.", false, func(p *Process) float64 { return float64(p.Goroutines) }),
		some("go_memstats_heap_alloc_bytes", "Heap in use.", false, func(p *Process) float64 { return float64(p.Heap) }),
		some("go_memstats_sys_bytes", "Memory the Go runtime has of the system.", false, func(p *Process) float64 { return float64(p.Sys) }),
		some("go_gc_cycles_total", "Garbage collections.", true, func(p *Process) float64 { return float64(p.Collections) }),
		some("go_gc_gomemlimit_bytes", "Memory the process tries to stay below.", false, func(p *Process) float64 { return float64(p.MemoryLimit) }),
		some("process_cpu_seconds_total", "Processor time, user and system (Linux).", true, func(p *Process) float64 { return p.CPU }),
		some("process_resident_memory_bytes", "Resident memory (Linux).", false, func(p *Process) float64 { return float64(p.Resident) }),
		some("process_open_fds", "Open files, connections included (Linux).", false, func(p *Process) float64 { return float64(p.Files) }),
		some("process_max_fds", "How many files it may have open (Linux).", false, func(p *Process) float64 { return float64(p.MaxFiles) }),
		{Name: "process_start_time_seconds", Help: "When the broker was started, in Unix time.", values: func(s *scrape) []value { return []value{{v: float64(s.Started.UnixMilli()) / 1000}} }},
	}
}

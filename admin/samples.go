package admin

// A Sample is one value of one metric, read at one time.
type Sample struct {
	Name, Help string
	Counter    bool   // it only grows; otherwise a gauge
	Label, Is  string // of the value, empty for a metric without one
	Value      float64
}

// Samples are what /metrics shows, for who sends it elsewhere: those of one name
// one after the other.
func (h *Handler) Samples() []Sample {
	var all []Sample
	s := h.scrape()
	for _, m := range Metrics() {
		for _, v := range m.values(&s) {
			all = append(all, Sample{m.Name, m.Help, m.Counter, m.Label, v.label, v.v})
		}
	}
	return all
}

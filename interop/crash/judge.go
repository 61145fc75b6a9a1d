package main

import "fmt"

// faults are what went wrong, and the first few instances of it.
type faults struct {
	Lost         int `json:"lost"`          // acknowledged, and never delivered to somebody entitled
	Doubled      int `json:"doubled"`       // QoS 2, delivered twice
	Disordered   int `json:"disordered"`    // after a later one of the same publisher and topic
	Revived      int `json:"revived"`       // for a subscription that had ended
	Foreign      int `json:"foreign"`       // to somebody who never asked for it, or with other content
	Stale        int `json:"stale"`         // retained, and older than acknowledged
	SessionsLost int `json:"sessions_lost"` // session present 0 where there was one
	SessionsBack int `json:"sessions_back"` // session present 1 where it was over
	WillsLost    int `json:"wills_lost"`    // due, and not said
	WillsDoubled int `json:"wills_doubled"` // said twice
	WillsWrong   int `json:"wills_wrong"`   // said after a goodbye, or though the client came back in time
	Acks         int `json:"acks"`          // acknowledgements out of order, or of nothing
	Refused      int `json:"refused"`       // requests the broker said no to
	Broker       int `json:"broker"`        // it ended by itself, or its log tells of damage

	Examples []string `json:"examples,omitempty"`
}

// rows names each count.
func (f *faults) rows() []row {
	return []row{
		{"lost", f.Lost},
		{"doubled", f.Doubled},
		{"out of order", f.Disordered},
		{"subscription back", f.Revived},
		{"foreign", f.Foreign},
		{"retained stale", f.Stale},
		{"sessions lost", f.SessionsLost},
		{"sessions back", f.SessionsBack},
		{"wills lost", f.WillsLost},
		{"wills doubled", f.WillsDoubled},
		{"wills wrong", f.WillsWrong},
		{"acknowledgements wrong", f.Acks},
		{"refused", f.Refused},
		{"broker's own trouble", f.Broker},
	}
}

type row struct {
	name string
	n    int
}

// total is how many there are.
func (f *faults) total() (n int) {
	for _, r := range f.rows() {
		n += r.n
	}
	return n
}

const examples = 5 // of each kind

// add counts a fault. The caller holds the ledger.
func (f *faults) add(count *int, format string, args ...any) {
	if *count++; *count <= examples {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

// fault is add for who does not hold the ledger.
func (l *ledger) fault(count func(*faults) *int, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults.add(count(&l.faults), "at %v: "+format, append([]any{l.now()}, args...)...)
}

// owed reports whether a message sent and acknowledged in m was promised under
// x: the subscription stood all the while.
func (x *right) owed(m span) bool {
	for _, on := range x.on {
		if m.till > 0 && on.from <= m.from && (on.till == 0 || m.till <= on.till) {
			return true
		}
	}
	return false
}

// barred reports whether the subscription did not stand all the while.
func (x *right) barred(m span) bool {
	for _, off := range x.off {
		if off.from <= m.from && (off.till == 0 || m.till > 0 && m.till <= off.till) {
			return true
		}
	}
	return false
}

// A verdict is what the ledger comes to.
type verdict struct {
	Promised int    `json:"promised"` // deliveries: each message for each recipient entitled
	Wills    int    `json:"wills"`    // that were due
	Kills    int    `json:"kills"`
	Stops    int    `json:"stops"`
	Looks    int    `json:"looks"` // at all retained messages
	Faults   faults `json:"faults"`
}

// judge compares promises with arrivals. It can be asked at any time; what has
// not come yet counts as lost.
func (l *ledger) judge() verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{Faults: l.faults}
	v.Faults.Examples = append([]string(nil), l.faults.Examples...)
	for _, r := range l.recipients {
		for _, x := range r.rights {
			v.settle(r, x)
			for _, s := range l.streams {
				if x.matches(s) {
					v.compare(r, x, s)
				}
			}
		}
	}
	for _, w := range l.wills {
		v.hear(w)
	}
	return v
}

// settle counts the retained messages a subscription still has to come.
func (v *verdict) settle(r *recipient, x *right) {
	if n := len(x.on); r.gone || n == 0 || x.on[n-1].till != 0 {
		return
	}
	for s, n := range x.due {
		if s.clearedBefore(x.on[len(x.on)-1].from, n) {
			continue
		}
		v.Faults.add(&v.Faults.Lost, "%s never got the retained %s #%d, or a later one, for its subscription of %v", r.name, s.topic, n, x.on[len(x.on)-1].from)
	}
}

// clearedBefore reports whether the topic may have been cleared, by a message
// later than n, before SUBACK came.
func (s *stream) clearedBefore(subscribed tick, n int) bool {
	for ; n <= len(s.sent); n++ {
		if s.clears(n) && s.sent[n-1].from < subscribed {
			return true
		}
	}
	return false
}

func (v *verdict) compare(r *recipient, x *right, s *stream) {
	var times []uint8
	if a := r.got[s]; a != nil {
		times = a.times
	}
	for i, m := range s.sent {
		came := i < len(times) && times[i] > 0
		owed := x.owed(m) && !r.gone && !s.clears(i+1)
		if owed {
			v.Promised++
		}
		switch {
		case owed && !came:
			v.Faults.add(&v.Faults.Lost, "%s never got %s #%d (QoS %d), sent at %v and acknowledged at %v", r.name, s.topic, i+1, s.qos, m.from, m.till)
		case came && x.barred(m):
			v.Faults.add(&v.Faults.Revived, "%s got %s #%d, sent at %v, though it had no such subscription then", r.name, s.topic, i+1, m.from)
		}
	}
}

// A lastWord is one will.
type lastWord struct {
	text string
	due  fate
	said int
	from tick
}

// A fate is whether a will is to be said.
type fate int

const (
	open  fate = iota // either way: the broker may have learned of it, or of its end, or not
	must              // the client was let in with it, and went without a goodbye
	never             // the client said goodbye, or came back in time
)

func (v *verdict) hear(w *lastWord) {
	f := &v.Faults
	if w.due == must {
		v.Wills++
	}
	switch {
	case w.due == must && w.said == 0:
		f.add(&f.WillsLost, "will %q, left at %v, was never said", w.text, w.from)
	case w.due == never && w.said > 0:
		f.add(&f.WillsWrong, "will %q, left at %v, was said though it was off", w.text, w.from)
	case w.said > 1:
		f.add(&f.WillsDoubled, "will %q, left at %v, was said %d times", w.text, w.from, w.said)
	}
}

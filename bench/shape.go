package bench

import (
	"fmt"
	"strconv"

	"github.com/midgemq/midge/mqtt"
)

// A Shape is who publishes to whom.
type Shape string

const (
	Pairs    Shape = "pairs"    // Clients publishers, each to a subscriber of its own
	FanOut   Shape = "fanout"   // one publisher to Clients subscribers
	FanIn    Shape = "fanin"    // Clients publishers to one subscriber
	AllToAll Shape = "all"      // Clients clients, each publishes to all, itself included
	Wildcard Shape = "wildcard" // one publisher of many topics to Clients subscribers with a wildcard
)

// Shapes are all there are.
var Shapes = []Shape{Pairs, FanOut, FanIn, AllToAll, Wildcard}

func (s Shape) known() bool {
	for _, k := range Shapes {
		if s == k {
			return true
		}
	}
	return false
}

// A plan is a shape with its numbers. Clients 0 to publishers-1 publish; the
// subscribers are the last ones.
type plan struct {
	clients     int
	publishers  int
	subscribers int
	topics      int // of each publisher
	topic       func(publisher, i int) string
	filters     int // of each subscriber
	filter      func(subscriber, i int) string
	streams     func(subscriber int) (first, n int)
}

// plan lays the load out below a prefix of its own.
func (l *Load) plan(prefix string) plan {
	p := plan{topics: l.Topics, filters: 1}
	all := func(int) (int, int) { return 0, p.publishers }
	common := prefix + "/all"
	p.topic = func(_, i int) string {
		if l.Topics > 1 {
			return fmt.Sprintf("%s/%07d", common, i)
		}
		return common
	}
	p.filter = func(int, int) string {
		if l.Topics > 1 {
			return common + "/+"
		}
		return common
	}
	switch l.Shape {
	case FanOut:
		p.publishers, p.subscribers, p.streams = 1, l.Clients, all
	case FanIn:
		p.publishers, p.subscribers, p.streams = l.Clients, 1, all
	case AllToAll:
		p.publishers, p.subscribers, p.streams = l.Clients, l.Clients, all
		p.clients = l.Clients
	case Wildcard:
		p.publishers, p.subscribers, p.streams = 1, l.Clients, all
		p.topic = func(_, i int) string { return fmt.Sprintf("%s/%07d/state", prefix, i) }
		p.filter = func(int, int) string { return prefix + "/+/state" }
	default:
		p.publishers, p.subscribers = l.Clients, l.Clients
		p.streams = func(s int) (int, int) { return s, 1 }
		l.pairs(&p, prefix)
	}
	if p.clients == 0 {
		p.clients = p.publishers + p.subscribers
	}
	return p
}

// pairs names a topic for each pair, or several, or one for each of many
// filters.
func (l *Load) pairs(p *plan, prefix string) {
	switch {
	case l.Filters > 0:
		p.topics, p.filters = l.Filters*l.Topics, l.Filters
		width := len(strconv.Itoa(l.Topics - 1)) // topics are of one length
		p.topic = func(pub, i int) string {
			return fmt.Sprintf("%s/%05d/%07d/%0*d", prefix, pub, i/l.Topics, width, i%l.Topics)
		}
		p.filter = func(sub, i int) string { return fmt.Sprintf("%s/%05d/%07d/+", prefix, sub, i) }
	case l.Topics > 1:
		p.topic = func(pub, i int) string { return fmt.Sprintf("%s/%05d/%07d", prefix, pub, i) }
		p.filter = func(sub, _ int) string { return fmt.Sprintf("%s/%05d/+", prefix, sub) }
	default:
		p.topic = func(pub, _ int) string { return fmt.Sprintf("%s/%05d", prefix, pub) }
		p.filter = func(sub, _ int) string { return fmt.Sprintf("%s/%05d", prefix, sub) }
	}
}

// window is how many messages of a publisher are on their way: as many as
// batch well, and not so many that a broker's queue for one client overflows.
func (l *Load) window(p *plan) int {
	switch {
	case l.Window > 0:
		return l.Window
	case l.QoS > mqtt.AtMostOnce:
		return 20
	}
	_, senders := p.streams(0)
	fan := p.subscribers
	if l.Shape == Pairs {
		fan = 1
	}
	const perClient, perBytes, inAll = 4000, 2 << 20, 100_000
	w := min(1000, perClient/senders, perBytes/(l.Payload+64), inAll/fan)
	return max(w, 4)
}

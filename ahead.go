package midge

import (
	"github.com/midgemq/midge/internal/index"
	"github.com/midgemq/midge/packet"
)

// An ahead finds who a topic goes to, and with it the topics of messages that
// stand behind the one at hand: most of a look-up among a million filters is
// waiting for memory, and they wait for it together. Owned by its scratch.
type ahead struct {
	rest   []byte // of the batch, behind the packet at hand; nil: nothing is known of it
	search index.Search[*subscription]
	names  [][]byte // looked up, in views of the batch
	next   int      // the first of names that has not been asked for yet
	asked  int      // how many of them have been
	width  int      // how many are looked up at a time
}

// aheadMost is the largest width. It doubles while all that is looked up is asked
// for; otherwise it becomes as many as were: the others have been met before.
const aheadMost = 32

// match appends to dst what the index has for a topic. What was found ahead is
// as good as long as the index has not changed: forget sees to that.
func (a *ahead) match(t *index.Tree[*subscription], topic []byte, dst []*subscription) []*subscription {
	for i := a.next; i < len(a.names); i++ {
		if name := a.names[i]; len(name) == len(topic) && &name[0] == &topic[0] || string(name) == string(topic) {
			a.next = i + 1
			a.asked++
			return a.search.Found(i, dst)
		}
	}
	a.renew()
	if a.gather(topic); len(a.names) == 0 {
		a.width = max(a.width, 2)
		return t.Match(topic, dst)
	}
	a.search.Look(t, a.names)
	a.next, a.asked = 1, 1
	return a.search.Found(0, dst)
}

// gather makes names topic and those of the messages behind it, if there are any.
func (a *ahead) gather(topic []byte) {
	names, rest := append(a.names, topic), a.rest
	for range 2 * a.width {
		h, err := packet.ReadHeader(rest)
		n := h.Size + h.Len
		if err != nil || n > len(rest) || len(names) >= a.width {
			break
		}
		body := rest[h.Size:n]
		rest = rest[n:]
		if h.Type != packet.PUBLISH || len(body) < 2 {
			continue
		}
		end := 2 + int(body[0])<<8 + int(body[1])
		if end == 2 || end > len(body) || string(body[2:end]) == string(names[len(names)-1]) {
			continue
		}
		names = append(names, body[2:end])
	}
	if len(names) > 1 {
		a.names = names
	}
}

// forget is for the end of a batch.
func (a *ahead) forget() {
	a.rest = nil
	a.renew()
	a.search.Forget()
}

// renew counts for nothing what was found ahead and not asked for yet.
func (a *ahead) renew() {
	if len(a.names) == 0 {
		return
	}
	if a.width = min(2*a.width, aheadMost); a.asked < len(a.names) {
		a.width = a.asked
	}
	clear(a.names)
	a.names, a.next, a.asked = a.names[:0], 0, 0
}

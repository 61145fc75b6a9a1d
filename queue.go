package midge

// A queue is deliveries that wait, and counts their bytes. An empty one has no
// memory.
type queue struct{ *ring }

type ring struct {
	slots []delivery
	head  int
	n     int
	bytes int
}

func (q queue) len() int {
	if q.ring == nil {
		return 0
	}
	return q.n
}

func (q queue) size() int {
	if q.ring == nil {
		return 0
	}
	return q.bytes
}

func (q queue) front() *delivery { return &q.slots[q.head] }

func (q *queue) push(d delivery) {
	if q.ring == nil {
		q.ring = new(ring)
	}
	if q.n == len(q.slots) {
		bigger := make([]delivery, max(4, 2*len(q.slots)))
		for i := range q.n {
			bigger[i] = q.slots[(q.head+i)%len(q.slots)]
		}
		q.slots, q.head = bigger, 0
	}
	q.slots[(q.head+q.n)%len(q.slots)] = d
	q.n++
	q.bytes += d.m.size()
}

func (q *queue) pop() delivery {
	d := q.slots[q.head]
	q.slots[q.head] = delivery{}
	q.head = (q.head + 1) % len(q.slots)
	q.n--
	q.bytes -= d.m.size()
	if q.n == 0 {
		q.ring = nil
	}
	return d
}

// takeShared removes and returns what shared subscriptions put in the queue.
func (q *queue) takeShared() (taken []delivery) {
	var rest queue
	for q.len() > 0 {
		if d := q.pop(); d.share != nil {
			taken = append(taken, d)
		} else {
			rest.push(d)
		}
	}
	*q = rest
	return taken
}

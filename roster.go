package midge

import (
	"hash/maphash"
	"iter"
)

// A roster is the sessions by client identifier. It has one pointer for each,
// where a map has the identifier besides, and it is many small tables, so that
// nobody waits for a large one to grow.
type roster struct {
	seed   maphash.Seed
	tables [256][]*session // powers of two of slots; a session is in the first free one from its hash on
	used   [256]int32
	n      int
}

const leastSlots = 4

func newRoster() *roster { return &roster{seed: maphash.MakeSeed()} }

// hash says which table a client identifier belongs to, and where it begins to
// look there.
func (r *roster) hash(id string) (table, from int) {
	h := maphash.String(r.seed, id)
	return int(h % uint64(len(r.tables))), int(h >> 32)
}

// find returns nil if there is none.
func (r *roster) find(id string) *session {
	table, from := r.hash(id)
	slots := r.tables[table]
	if len(slots) == 0 {
		return nil
	}
	return slots[slotOf(slots, id, from)]
}

// slotOf is where id is, or the free slot where it would be: there is one.
func slotOf(slots []*session, id string, from int) int {
	last := len(slots) - 1
	for i := from & last; ; i = (i + 1) & last {
		if s := slots[i]; s == nil || s.id == id {
			return i
		}
	}
}

// put adds s, whose identifier nobody there has.
func (r *roster) put(s *session) {
	table, from := r.hash(s.id)
	if used, room := int(r.used[table])+1, len(r.tables[table]); used*4 > room*3 {
		r.resize(table, max(2*room, leastSlots))
	}
	slots := r.tables[table]
	slots[slotOf(slots, s.id, from)] = s
	r.used[table]++
	r.n++
}

// drop takes out s, which is there. Those behind it move up: they may not have
// to look further than they stand.
func (r *roster) drop(s *session) {
	table, from := r.hash(s.id)
	slots := r.tables[table]
	last := len(slots) - 1
	gap := slotOf(slots, s.id, from)
	slots[gap] = nil
	for i := (gap + 1) & last; slots[i] != nil; i = (i + 1) & last {
		_, home := r.hash(slots[i].id)
		if (i-home)&last >= (i-gap)&last {
			slots[gap], slots[i] = slots[i], nil
			gap = i
		}
	}
	r.used[table]--
	r.n--
	if used, room := int(r.used[table]), len(slots); used*8 < room && room > leastSlots {
		r.resize(table, room/2)
	}
}

// resize moves a table to so many slots.
func (r *roster) resize(table, room int) {
	slots := make([]*session, room)
	for _, s := range r.tables[table] {
		if s != nil {
			_, from := r.hash(s.id)
			slots[slotOf(slots, s.id, from)] = s
		}
	}
	r.tables[table] = slots
}

// all goes through them, in no order. None may come or go meanwhile.
func (r *roster) all() iter.Seq[*session] {
	return func(yield func(*session) bool) {
		for _, slots := range r.tables[:] {
			for _, s := range slots {
				if s != nil && !yield(s) {
					return
				}
			}
		}
	}
}

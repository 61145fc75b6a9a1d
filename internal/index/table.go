package index

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// A table is a hash table of nodes by level. Readers may walk it while the
// writer adds; growing and cleaning make a new one.
type table[P any] struct {
	buckets []bucket[P] // a power of two of them
	used    int         // lanes that are not free; writers only
	dead    int         // those of them with a headstone; writers only
}

// A bucket is a line of a processor's cache: the nodes of its lanes, and a tag
// for each, so that a node of another level is hardly ever looked at. Where
// all lanes are used, the next bucket goes on.
type bucket[P any] struct {
	tags  atomic.Uint64 // a byte each: free, headstone, or seven bits of the digest and living
	nodes [lanes]atomic.Pointer[node[P]]
}

const (
	lanes = 7

	free      = 0x00
	headstone = 0x01 // a node was here, and readers go on past it
	living    = 0x80

	each = 0x0001010101010101 // lane
)

var seed = maphash.MakeSeed()

// tagOf is the tag of a digest, whose lowest bits choose the bucket.
func tagOf(digest uint64) uint64 { return digest>>57 | living }

// tagged returns the lanes with the tag, by their highest bits: all of them,
// and perhaps others.
func tagged(tags, tag uint64) uint64 {
	x := tags ^ tag*each
	return (x - each) &^ x & (each * living)
}

// vacant returns the free lanes, by their highest bits.
func vacant(tags uint64) uint64 { return ^(tags | tags<<7) & (each * living) }

// lane is the first of those lanes.
func lane(found uint64) int { return bits.TrailingZeros64(found) / 8 }

// room is how many nodes there are lanes for.
func (t *table[P]) room() int { return len(t.buckets) * lanes }

// first is the bucket to begin with.
func (t *table[P]) first(digest uint64) *bucket[P] {
	return &t.buckets[digest&uint64(len(t.buckets)-1)]
}

func (t *table[P]) find(level []byte) *node[P] {
	digest := maphash.Bytes(seed, level)
	tag, mask := tagOf(digest), uint64(len(t.buckets)-1)
	for i := digest & mask; ; i = (i + 1) & mask {
		b := &t.buckets[i]
		tags := b.tags.Load()
		for found := tagged(tags, tag); found != 0; found &= found - 1 {
			if c := b.nodes[lane(found)].Load(); c != nil && c.is(level) {
				return c
			}
		}
		if vacant(tags) != 0 {
			return nil
		}
	}
}

// put adds a child that is not there yet. It takes over the first headstone on
// the way, or a level that comes and goes would leave a row of them. Nobody
// living ever moves within a table, so readers miss nobody.
func (t *table[P]) put(c *node[P]) {
	digest := c.digest()
	mask := uint64(len(t.buckets) - 1)
	for i := digest & mask; ; i = (i + 1) & mask {
		b := &t.buckets[i]
		tags := b.tags.Load()
		if stones := tags & (each * headstone) &^ (tags >> 7); stones != 0 {
			t.dead--
			b.set(lane(stones), c, tagOf(digest))
			return
		}
		if v := vacant(tags); v != 0 {
			t.used++
			b.set(lane(v), c, tagOf(digest))
			return
		}
	}
}

// set fills a lane, or empties it. Who sees the tag of a node sees the node.
func (b *bucket[P]) set(lane int, c *node[P], tag uint64) {
	if c != nil {
		b.nodes[lane].Store(c)
	}
	b.tags.Store(b.tags.Load()&^(0xFF<<(8*lane)) | tag<<(8*lane))
	if c == nil {
		b.nodes[lane].Store(nil)
	}
}

// remove takes out a child that is there.
func (t *table[P]) remove(c *node[P]) {
	mask := uint64(len(t.buckets) - 1)
	for i := c.digest() & mask; ; i = (i + 1) & mask {
		b := &t.buckets[i]
		for k := range b.nodes {
			switch {
			case b.nodes[k].Load() != c:
			case vacant(b.tags.Load()) != 0: // nobody goes on from here
				t.used--
				b.set(k, nil, free)
				return
			default:
				t.dead++
				b.set(k, nil, headstone)
				return
			}
		}
	}
}

// resized copies the living into a table with room for extra more.
func (t *table[P]) resized(extra int) *table[P] {
	size := extra
	if t != nil {
		size += t.used - t.dead
	}
	n := 1
	for n*lanes*3 < size*4+lanes { // at most half full afterwards, unless it is one bucket
		n *= 2
	}
	fresh := &table[P]{buckets: make([]bucket[P], n)}
	for i := range t.slots() {
		if c := t.slot(i); c != nil {
			fresh.put(c)
		}
	}
	return fresh
}

// slots is how many slots there are to look through for the nodes.
func (t *table[P]) slots() int {
	if t == nil {
		return 0
	}
	return t.room()
}

// slot returns the node in one of them, nil if there is none.
func (t *table[P]) slot(i int) *node[P] { return t.buckets[i/lanes].nodes[i%lanes].Load() }

package faultdisk

import (
	"maps"
	"slices"
)

// Kill stops the disk and returns it as the next process finds it after this one
// was killed: all that was written is there, and no more certain than before.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.after()
	copies := map[*blob]*blob{nil: nil}
	clone := func(b *blob) *blob {
		if copies[b] == nil && b != nil {
			copies[b] = &blob{seen: slices.Clone(b.seen), certain: slices.Clone(b.certain), loose: slices.Clone(b.loose), stale: slices.Clone(b.stale)}
		}
		return copies[b]
	}
	for name, b := range d.names {
		next.names[name] = clone(b)
	}
	for name, b := range d.synced {
		next.synced[name] = clone(b)
	}
	for _, t := range d.turns {
		t.b = clone(t.b)
		next.turns = append(next.turns, t)
	}
	return next
}

// PowerCut stops the disk and returns it as the next boot finds it: what was not
// synced is there or not, every name and every sector by itself, in no order.
func (d *Disk) PowerCut() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.after()
	names, keep := maps.Clone(d.synced), d.rng.IntN(5)
	for _, t := range d.turns {
		if d.rng.IntN(4) < keep {
			t.on(names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		b := names[name]
		content := d.remains(b)
		stale := b.seen // of every byte the latest, the disk may have had it
		if len(b.stale) > len(stale) {
			stale = append(slices.Clone(stale), b.stale[len(stale):]...)
		}
		k := &blob{seen: content, certain: slices.Clone(content), stale: stale}
		next.names[name], next.synced[name] = k, k
	}
	return next
}

// after is an empty disk that goes on where this one ends.
func (d *Disk) after() *Disk {
	d.down = true
	next := New(d.rng.Uint64())
	next.lie = d.lie
	return next
}

// remains is what a power cut leaves of a file. What was synced is there; of
// what was written since, each piece is there, torn, or lost; and the file may
// be longer than what reached it, with anything in the gap.
func (d *Disk) remains(b *blob) []byte {
	content := slices.Clone(b.certain)
	sector, keep := []int{1 << 30, 4096, 512}[d.rng.IntN(3)], d.rng.IntN(5)
	var pieces []write
	for _, w := range b.loose {
		pieces = append(pieces, split(w, sector)...)
	}
	upto := len(pieces)
	inOrder := len(pieces) > 0 && d.rng.IntN(4) == 0
	if inOrder {
		upto = d.rng.IntN(len(pieces)) + 1
	}
	for i, w := range pieces[:upto] {
		if !inOrder && d.rng.IntN(4) >= keep {
			continue
		}
		parts := []write{w}
		if inOrder && i == upto-1 || !inOrder && d.rng.IntN(8) == 0 {
			parts = d.tear(w)
		}
		for _, w := range parts {
			content = d.fill(apply(content, w), len(content), int(w.off), b)
		}
	}
	size, longest := len(content), len(b.seen)
	if b.grown {
		longest += 600 // blocks made ready for what was to come
	}
	if longest > size && d.rng.IntN(3) == 0 { // its length got to the disk, and what is in there did not
		longer := size + 1 + d.rng.IntN(longest-size)
		content = d.fill(apply(content, write{off: int64(longer)}), size, longer, b)
	}
	return content
}

// apply gives b as w leaves it, with zeros where nobody wrote.
func apply(b []byte, w write) []byte {
	if gap := int(w.off) + len(w.b) - len(b); gap > 0 {
		b = append(b, make([]byte, gap)...)
	}
	copy(b[w.off:], w.b)
	return b
}

// split cuts a write where sectors end.
func split(w write, sector int) (pieces []write) {
	for len(w.b) > sector {
		n := sector - int(w.off)%sector
		pieces = append(pieces, write{w.off, w.b[:n]})
		w.off, w.b = w.off+int64(n), w.b[n:]
	}
	return append(pieces, w)
}

// tear keeps some part of a write: its front, its back, or all but a hole.
func (d *Disk) tear(w write) []write {
	if len(w.b) == 0 {
		return []write{w}
	}
	from := d.rng.IntN(len(w.b))
	upto := min(len(w.b), from+1+d.rng.IntN(64))
	front, back := write{w.off, w.b[:from]}, write{w.off + int64(upto), w.b[upto:]}
	return [][]write{{front}, {back}, {front, back}}[d.rng.IntN(3)]
}

// fill puts something into bytes of a file that nobody's write reached: zeros,
// noise, what had been there and was lost, or what another file has there.
func (d *Disk) fill(content []byte, from, to int, b *blob) []byte {
	if from >= to {
		return content
	}
	gap, old := content[from:min(to, len(content))], b.stale
	switch d.rng.IntN(4) {
	case 0:
		for i := range gap {
			gap[i] = byte(d.rng.Uint32())
		}
		return content
	case 1:
		names := slices.Sorted(maps.Keys(d.names))
		old = d.names[names[d.rng.IntN(len(names))]].seen
	case 2:
		old = nil
	}
	if from < len(old) {
		copy(gap, old[from:])
	}
	return content
}

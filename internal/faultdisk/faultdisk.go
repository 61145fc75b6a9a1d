// Package faultdisk is a folder in memory that behaves as a disk does when
// power, room or the hardware fails.
package faultdisk

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/midgemq/midge/internal/vfs"
)

var _ vfs.Folder = (*Disk)(nil)

// A Disk is a folder in memory that keeps for certain only what was synced:
// bytes by their file's Sync, names by the folder's. It can be full, read-only,
// slow, fail to sync, lie, and have its power cut; see PowerCut and Kill. Its
// methods may be called from any goroutine.
type Disk struct {
	mu     sync.Mutex
	rng    *rand.Rand       // guarded by mu
	names  map[string]*blob // guarded by mu: as a program sees them
	synced map[string]*blob // guarded by mu: as they are after a power cut, for certain
	room   int              // guarded by mu: bytes that may be written yet; negative: any number
	deny   error            // guarded by mu: what writing and creating gives
	nosync error            // guarded by mu: what syncing gives
	lag    time.Duration    // guarded by mu: how long a sync takes
	budget int              // guarded by mu: writes and syncs until the disk is gone; negative: never
	onDown func()           // guarded by mu: called once when it is, with mu held
	down   bool             // guarded by mu
	syncs  int              // guarded by mu
	turns  []turn           // guarded by mu: what became of names since they were synced
	flaky  int              // guarded by mu: one Sync in so many fails; 0: none
	denied Op               // guarded by mu: what deny is for; 0: everything
	met    Op               // guarded by mu: what the end met
	lie    func(Call) bool  // guarded by mu
}

// A blob is a file's content.
type blob struct {
	seen, certain []byte
	loose         []write // since the last sync
	ours, grown   bool    // written by this process; and synced then
	stale         []byte  // what never counted, where it was: its blocks may come back
}

type write struct {
	off int64
	b   []byte
}

// A turn is one change to names.
type turn struct {
	op       Op
	name, to string
	b        *blob
}

// ErrPower is what a disk without power says.
var ErrPower = errors.New("the power is cut")

// New returns an empty disk; the seed decides what power cuts take.
func New(seed uint64) *Disk {
	return &Disk{
		rng: rand.New(rand.NewPCG(seed, 2)), names: map[string]*blob{}, synced: map[string]*blob{}, room: -1, budget: -1,
	}
}

// SetBudget has the disk go after n more writes and syncs; negative: never.
// onDown, which may be nil, is called at that moment, before anybody is told;
// it must not use the disk.
func (d *Disk) SetBudget(n int, onDown func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.budget, d.onDown = n, onDown
}

// SetRoom lets n more bytes be written; negative: any number.
func (d *Disk) SetRoom(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = n
}

// SetDeny has every change fail with err, or every op if one is named; nil: none.
func (d *Disk) SetDeny(err error, op ...Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deny, d.denied = err, 0
	if len(op) > 0 {
		d.denied = op[0]
	}
}

// SetFlaky has one Sync in n fail, by chance. What it was to keep of a file is
// forgotten then, and seen until the next boot. 0: none.
func (d *Disk) SetFlaky(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flaky = n
}

// SetLie has calls for which lie is true say that they did what they are for,
// and not do it. lie must not use the disk.
func (d *Disk) SetLie(lie func(Call) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lie = lie
}

// Met is what was under way when the budget was spent; 0: it is not.
func (d *Disk) Met() Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.met
}

// Forgot reports whether a file has bytes that are seen and that no Sync will
// keep, because one failed and they were not written again.
func (d *Disk) Forgot() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.names {
		kept := slices.Clone(b.certain)
		for _, w := range b.loose {
			kept = apply(kept, w)
		}
		if len(kept) < len(b.seen) || !bytes.Equal(kept[:len(b.seen)], b.seen) {
			return true
		}
	}
	return false
}

// SetSync has every sync take lag and then fail with err, unless that is nil.
func (d *Disk) SetSync(lag time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lag, d.nosync = lag, err
}

// Syncs counts the syncs that went well.
func (d *Disk) Syncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

// Stop ends the disk for who uses it: every change fails from now on.
func (d *Disk) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
}

// Down reports whether it is stopped, or out of budget.
func (d *Disk) Down() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.down
}

// Has reports whether there is a file of that name.
func (d *Disk) Has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[name] != nil
}

// Damage hands a file's content to f, which may change it.
func (d *Disk) Damage(name string, f func(content []byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.names[name].seen)
}

// begin counts one operation that changes the disk. One that meets the end is
// answered by nothing, and takes place or not.
func (d *Disk) begin(op Op, b *blob) (does bool, err error) {
	switch {
	case d.down:
		return false, ErrPower
	case d.budget == 0:
		d.down, d.met = true, op
		if d.onDown != nil {
			d.onDown()
		}
		return d.rng.IntN(2) == 0, ErrPower
	}
	d.budget--
	if d.deny != nil && (d.denied == 0 || d.denied == op) {
		return false, d.deny
	}
	return d.lie == nil || !d.lie(d.call(op, b)), nil
}

func (d *Disk) call(op Op, b *blob) Call {
	c := Call{Op: op}
	if b != nil {
		c.Size = len(b.seen)
	}
	for _, t := range d.turns {
		c.Names = append(c.Names, t.op)
	}
	return c
}

// Open opens a file, or makes it.
func (d *Disk) Open(name string, create bool) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.names[name]
	if b != nil {
		return &faultFile{d, b}, nil
	}
	if !create {
		return nil, os.ErrNotExist
	}
	b = new(blob)
	if err := d.change(turn{op: Create, name: name, b: b}); err != nil {
		return nil, err
	}
	return &faultFile{d, b}, nil
}

// Remove deletes one.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return os.ErrNotExist
	}
	return d.change(turn{op: Remove, name: name})
}

// Rename moves one.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[from] == nil {
		return os.ErrNotExist
	}
	return d.change(turn{op: Rename, name: from, to: to, b: d.names[from]})
}

func (d *Disk) change(t turn) error {
	does, err := d.begin(t.op, t.b)
	if does {
		t.on(d.names)
		d.turns = append(d.turns, t)
	}
	return err
}

func (t *turn) on(names map[string]*blob) {
	switch t.op {
	case Create:
		names[t.name] = t.b
	case Remove:
		delete(names, t.name)
	case Rename:
		delete(names, t.name)
		names[t.to] = t.b
	}
}

// List names the files at the top.
func (d *Disk) List() (names []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.names {
		if path.Dir(name) == "." {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Sync makes the names durable.
func (d *Disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	does, err := d.begin(SyncNames, nil)
	if does && d.fails() {
		return syscall.EIO
	}
	if does {
		for _, t := range d.turns {
			t.on(d.synced)
		}
		d.turns = nil
	}
	return err
}

func (d *Disk) fails() bool { return !d.down && d.flaky > 0 && d.rng.IntN(d.flaky) == 0 }

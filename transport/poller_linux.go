package transport

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// A Poller watches sockets for one goroutine, the one that calls Wait: a socket
// without traffic costs neither a goroutine nor a buffer. Linux alone has it.
type Poller struct {
	// Immutable.
	ep, wake int // epoll and the eventfd that ends its sleep
	epoch    time.Time

	// Owned by who calls Wait.
	events [128]syscall.EpollEvent
	ready  []*Socket
	busy   bool // the last look found several

	mu     sync.Mutex
	posted []*Socket // guarded by mu: ready without having been reported by epoll
	asleep bool      // guarded by mu: Wait is in the kernel, or about to be
	until  int64     // guarded by mu: and how long at most
	closed bool      // guarded by mu
	wheel  wheel     // guarded by mu: all sockets, and read deadlines
}

const edges = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31 // EPOLLET, which package syscall has as a negative number

// NewPoller makes a Poller. It holds two descriptors until Close.
func NewPoller() (*Poller, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("transport: epoll_create1: %w", err)
	}
	const nonblock, cloexec = syscall.O_NONBLOCK, syscall.O_CLOEXEC
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, nonblock|cloexec, 0)
	if errno != 0 {
		syscall.Close(ep)
		return nil, fmt.Errorf("transport: eventfd2: %w", errno)
	}
	p := &Poller{ep: ep, wake: int(fd), epoch: time.Now()}
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, p.wake, &ev); err != nil {
		p.closeFiles()
		return nil, fmt.Errorf("transport: epoll_ctl: %w", err)
	}
	return p, nil
}

func (p *Poller) closeFiles() {
	syscall.Close(p.ep)
	syscall.Close(p.wake)
}

// Close makes Wait return false, now or when it is called next; that call
// gives the descriptors back. Sockets are to be closed before.
func (p *Poller) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.wakeLocked()
}

// Wait returns the sockets that have something to read, an error to tell, or a
// read deadline that has passed, and that nobody has taken with Leave. It
// blocks until there is one if block is set. The slice is good until the next
// call. False is a Poller that has been closed.
func (p *Poller) Wait(block bool) ([]*Socket, bool) {
	clear(p.ready) // the next one may be long in coming, and need less
	p.ready = p.ready[:0]
	n := 0
	if p.busy || !block {
		n = p.poll()
		runtime.Gosched() // this goroutine may not sleep for long: let others run
	}
	if n == 0 && block {
		n = p.sleep()
	}
	p.busy = n > 1
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep = false
	if p.closed {
		p.closeFiles()
		return nil, false
	}
	for i := range n {
		ev := &p.events[i]
		if int(ev.Fd) == p.wake {
			var count [8]byte
			syscall.Read(p.wake, count[:])
			continue
		}
		if s := p.wheel.sockets[ev.Fd]; s != nil && s.report(ev.Events) {
			p.ready = append(p.ready, s)
		}
	}
	p.ready = append(p.ready, p.posted...)
	clear(p.posted)
	p.posted = p.posted[:0]
	p.wheel.turn(p.now(), func(s *Socket) {
		if s.expire() {
			p.ready = append(p.ready, s)
		}
	})
	return p.ready, true
}

// poll looks without blocking, and so without telling the scheduler.
func (p *Poller) poll() int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.ep),
		uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// sleep looks until there is something or the next deadline comes.
func (p *Poller) sleep() int {
	p.mu.Lock()
	if p.closed || len(p.posted) > 0 {
		p.mu.Unlock()
		return 0
	}
	p.asleep = true
	now := p.now()
	patience := p.wheel.next(now)
	p.until = math.MaxInt64
	if patience >= 0 {
		p.until = now + int64(patience)*int64(time.Millisecond)
	}
	p.mu.Unlock()
	n, err := syscall.EpollWait(p.ep, p.events[:], patience)
	if err != nil { // EINTR
		return 0
	}
	return n
}

// now is what deadlines are counted in: ns since the Poller was made.
func (p *Poller) now() int64 { return int64(time.Since(p.epoch)) }

// post has Wait return s.
func (p *Poller) post(s *Socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.posted = append(p.posted, s)
	p.wakeLocked()
}

func (p *Poller) wakeLocked() {
	if p.asleep {
		p.asleep = false
		syscall.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// add begins to watch s. The first report says at least that it can be written.
func (p *Poller) add(s *Socket) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return syscall.EBADF
	}
	p.wheel.know(s)
	ev := syscall.EpollEvent{Events: edges, Fd: s.fd}
	err := syscall.EpollCtl(p.ep, syscall.EPOLL_CTL_ADD, int(s.fd), &ev)
	if err == syscall.EEXIST {
		return nil // by watch
	}
	return err
}

// drop forgets s, whose descriptor is about to be closed.
func (p *Poller) drop(s *Socket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wheel.forget(s)
}

// A wheel finds the sockets whose deadline has come, at the latest one notch
// after. A deadline that moves away costs nothing: it is looked at where it
// stood, and put where it is to be.
type wheel struct {
	sockets []*Socket        // by descriptor, those without a deadline too
	slots   [wheelSlots]link // lists
	n       int
	at      notch // looked at last
}

// A link is a Socket in the wheel, by its descriptor and one; 0: none.
type link int32

func (w *wheel) follow(l link) *Socket {
	if l == 0 {
		return nil
	}
	return w.sockets[l-1]
}

// know makes room for a socket that is open.
func (w *wheel) know(s *Socket) {
	for len(w.sockets) <= int(s.fd) {
		w.sockets = append(w.sockets, nil)
	}
	w.sockets[s.fd] = s
}

// forget takes a socket out whose descriptor is about to be another's.
func (w *wheel) forget(s *Socket) {
	w.remove(s)
	if int(s.fd) < len(w.sockets) && w.sockets[s.fd] == s {
		w.sockets[s.fd] = nil
	}
}

const (
	wheelSlots = 512
	wheelNotch = 125 * time.Millisecond
)

// A notch is a time since the Poller was made, in so many wheelNotches: 17 years
// in four bytes.
type notch uint32

func (n notch) time() time.Duration { return time.Duration(n) * wheelNotch }

// notchAfter is the first one, but 0, that is not before d.
func notchAfter(d time.Duration) notch {
	return notch(min(max(1, (d+wheelNotch-1)/wheelNotch), math.MaxUint32))
}

// notchAt is the last one that is not after now, ns.
func notchAt(now int64) notch { return notch(now / int64(wheelNotch)) }

// set has s fire at deadline or soon after; now is in ns.
func (w *wheel) set(s *Socket, deadline notch, now int64) {
	if s.due != 0 && deadline >= s.due {
		return // sooner than needed is where it is looked at again
	}
	w.know(s)
	w.remove(s)
	if w.n == 0 {
		w.at = notchAt(now)
	}
	s.due = min(max(deadline, w.at+1), w.at+wheelSlots-1)
	slot := &w.slots[s.due%wheelSlots]
	s.prev, s.next = 0, *slot
	*slot = link(s.fd + 1)
	if next := w.follow(s.next); next != nil {
		next.prev = *slot
	}
	w.n++
}

func (w *wheel) remove(s *Socket) {
	if s.due == 0 {
		return
	}
	if next := w.follow(s.next); next != nil {
		next.prev = s.prev
	}
	if prev := w.follow(s.prev); prev != nil {
		prev.next = s.next
	} else {
		w.slots[s.due%wheelSlots] = s.next
	}
	s.prev, s.next, s.due = 0, 0, 0
	w.n--
}

// turn fires what is due at now, ns.
func (w *wheel) turn(now int64, fire func(*Socket)) {
	for w.n > 0 && w.at < notchAt(now) {
		w.at++
		for next := w.slots[w.at%wheelSlots]; next != 0; {
			s := w.follow(next)
			next = s.next
			w.remove(s)
			if s.deadline > notchAt(now) {
				w.set(s, s.deadline, now)
			} else if s.deadline > 0 {
				fire(s)
			}
		}
	}
}

// next is how long nothing can be due, in ms; -1 for ever.
func (w *wheel) next(now int64) int {
	if w.n == 0 {
		return -1
	}
	for i := notch(1); i < wheelSlots; i++ {
		if w.slots[(w.at+i)%wheelSlots] != 0 {
			return int(min(max((int64((w.at+i).time())-now)/int64(time.Millisecond)+1, 0), math.MaxInt32))
		}
	}
	return int(wheelNotch / time.Millisecond)
}

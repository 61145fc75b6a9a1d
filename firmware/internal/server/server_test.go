package server

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/midgemq/midge/firmware/internal/plan"
	"github.com/midgemq/midge/tiny"
	"github.com/soypat/lneto/tcp"
)

// A network is a server and the hosts that talk to it, without IP between them.
type network struct {
	t     *testing.T
	s     *Server
	now   time.Duration
	hosts []*host
	// lose says which segments get lost; nil: none.
	lose func() bool
}

// A host is one TCP connection of its own address.
type host struct {
	h    tcp.Handler
	loss tcp.RTO
	addr [4]byte
	got  []byte
	last [header]byte // of the last segment sent
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	b, err := tiny.New(plan.Limits(), tiny.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, s: new(Server)}
	if err := n.s.Configure(b, 1); err != nil {
		t.Fatal(err)
	}
	return n
}

// dial begins a connection; settle does the handshake.
func (n *network) dial() *host {
	n.t.Helper()
	h := &host{addr: [4]byte{10, 0, 0, byte(len(n.hosts) + 1)}}
	n.hosts = append(n.hosts, h)
	h.h.SetLossRecovery(&h.loss, func() int64 { return int64(n.now) })
	err := h.h.SetBuffers(make([]byte, 1024), make([]byte, 1024), 8)
	if err == nil {
		err = h.h.OpenActive(40000, plan.Port, 7)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return h
}

// syn sends a host's first segment, and lets nothing come back.
func (n *network) syn(h *host) {
	n.t.Helper()
	var p [1600]byte
	copy(p[12:], h.addr[:])
	if k, err := h.h.Send(p[20:]); err != nil || n.s.Demux(p[:20+k], 20) != nil {
		n.t.Fatal("SYN:", err)
	}
}

// settle passes segments on until nobody has one.
func (n *network) settle() {
	n.t.Helper()
	p := [1600]byte{0x45} // what lneto looks at of the IPv4 header
	for busy := true; busy; {
		busy = false
		for _, h := range n.hosts {
			copy(p[12:], h.addr[:])
			if k, _ := h.h.Send(p[20:]); k > 0 {
				busy = true
				copy(h.last[:], p[20:])
				if n.lost() {
					continue
				}
				_ = n.s.Demux(p[:20+k], 20) // an error is a segment dropped
				n.s.Step(n.now)
			}
		}
		for k, _ := n.s.Encapsulate(p[:], 0, 20); k > 0; k, _ = n.s.Encapsulate(p[:], 0, 20) {
			busy = true
			if !n.lost() {
				n.deliver(p[:20+k])
			}
		}
		n.s.Step(n.now)
	}
}

// lost takes a segment's time, and says whether it gets there.
func (n *network) lost() bool {
	n.now += time.Millisecond
	return n.lose != nil && n.lose()
}

func (n *network) deliver(p []byte) {
	for _, h := range n.hosts {
		if h.addr != [4]byte(p[16:20]) {
			continue
		}
		if err := h.h.Recv(p[20:]); err == net.ErrClosed {
			h.h.Abort() // else it would dial again
		}
		for h.h.BufferedInput() > 0 {
			var buf [300]byte
			k, _ := h.h.Read(buf[:])
			h.got = append(h.got, buf[:k]...)
		}
	}
}

func (n *network) write(h *host, p []byte) {
	n.t.Helper()
	for len(p) > 0 {
		k, err := h.h.Write(p[:min(len(p), h.h.FreeOutput())])
		if err != nil {
			n.t.Fatal(err)
		}
		p = p[k:]
		n.settle()
	}
}

// phases counts the server's connections by phase.
func (n *network) phases() (count [4]int) {
	for i := range n.s.conns {
		count[n.s.conns[i].phase]++
	}
	return count
}

func frame(head byte, body ...byte) []byte {
	return append(binary.AppendUvarint([]byte{head}, uint64(len(body))), body...)
}

func hello(id byte) []byte {
	return frame(0x10, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, id)
}

// TestReadInPlace has packets of every size pass the ring's end at every
// place: what comes out is what went in.
func TestReadInPlace(t *testing.T) {
	n := newNetwork(t)
	sub, pub := n.dial(), n.dial()
	n.settle()
	n.write(sub, append(hello('s'), frame(0x82, 0, 1, 0, 1, '#', 0)...))
	n.write(pub, hello('p'))
	var want []byte
	for i := range 700 {
		body := []byte{0, 1, 't', byte(i >> 8), byte(i)}
		for j := range i * 7 % 400 {
			body = append(body, byte(i+j))
		}
		p := frame(0x30, body...)
		want = append(want, p...)
		// In two pieces, so that a packet also waits for its rest.
		n.write(pub, p[:len(p)/3])
		n.write(pub, p[len(p)/3:])
	}
	got := bytes.TrimPrefix(sub.got, append(frame(0x20, 0, 0), frame(0x90, 0, 1, 0)...))
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out, %d went in, and they differ", len(got), len(want))
	}
	if avg := testing.AllocsPerRun(100, func() { n.s.Step(n.now) }); avg != 0 {
		t.Errorf("Step allocates %v times", avg)
	}
}

// TestLoss loses a seventeenth of the segments of either direction: TCP makes up
// for it.
func TestLoss(t *testing.T) {
	n := newNetwork(t)
	sub, pub := n.dial(), n.dial()
	n.settle()
	n.write(sub, append(hello('s'), frame(0x82, 0, 1, 0, 1, '#', 0)...))
	n.write(pub, hello('p'))
	dice := rand.New(rand.NewPCG(1, 2))
	n.lose = func() bool { return dice.IntN(17) == 0 }
	want := append(frame(0x20, 0, 0), frame(0x90, 0, 1, 0)...)
	for i := range 200 {
		p := frame(0x30, append([]byte{0, 1, 't', byte(i)}, make([]byte, i)...)...)
		want = append(want, p...)
		if _, err := pub.h.Write(p); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			n.settle()
			if len(sub.got) >= len(want) {
				break
			}
			n.now += 100 * time.Millisecond
			n.s.Step(n.now)
		}
	}
	if !bytes.Equal(sub.got, want) {
		t.Errorf("%d bytes came out, %d went in", len(sub.got), len(want))
	}
	t.Log("took", n.now)
}

// TestHandshakes has hosts that never finish theirs: they make room for a
// newcomer, and are forgotten in time.
func TestHandshakes(t *testing.T) {
	n := newNetwork(t)
	for range plan.Conns + 3 {
		n.syn(n.dial())
		n.now += time.Millisecond
	}
	if got := n.phases(); got[opening] != plan.Conns {
		t.Fatalf("%v connections by phase, want all opening", got)
	}
	if n.s.find(n.hosts[0].addr, 40000) != nil || n.s.find(n.hosts[plan.Conns+2].addr, 40000) == nil {
		t.Error("the newcomer has not taken the oldest one's place")
	}
	n.now += handshake + time.Second
	n.s.Step(n.now)
	if got := n.phases(); got[free] != plan.Conns {
		t.Errorf("%v connections by phase, want all free", got)
	}
}

// TestLostHandshake loses the SYN-ACK: it is sent again.
func TestLostHandshake(t *testing.T) {
	n := newNetwork(t)
	n.syn(n.dial())
	var p [1600]byte
	if k, _ := n.s.Encapsulate(p[:], 0, 20); k == 0 {
		t.Fatal("no SYN-ACK")
	}
	if k, _ := n.s.Encapsulate(p[:], 0, 20); k != 0 {
		t.Fatal("two of them")
	}
	n.now += resend
	n.s.Step(n.now)
	n.settle()
	if got := n.phases(); got[open] != 1 {
		t.Errorf("%v connections by phase, want one open", got)
	}
}

// TestFull has no place for a tenth connection: it is reset.
func TestFull(t *testing.T) {
	n := newNetwork(t)
	for range plan.Conns {
		n.dial()
		n.settle()
	}
	if got := n.phases(); got[open] != plan.Conns {
		t.Fatalf("%v connections by phase, want all open", got)
	}
	late := n.dial()
	n.settle()
	if st := late.h.State(); st != tcp.StateClosed {
		t.Errorf("the tenth is %v", st)
	}
}

// TestGoodbye closes from either end: the place is free again.
func TestGoodbye(t *testing.T) {
	n := newNetwork(t)
	polite, rude, gone := n.dial(), n.dial(), n.dial()
	n.settle()
	n.write(polite, hello('p'))
	n.write(polite, frame(0xe0))
	n.write(rude, frame(0xf0)) // not a way to begin
	n.write(gone, hello('g'))
	if err := gone.h.Close(); err != nil {
		t.Fatal(err)
	}
	n.settle()
	for _, h := range n.hosts {
		_ = h.h.Close() // theirs, in answer to ours
	}
	n.settle()
	n.now += goodbye + time.Second
	n.s.Step(n.now)
	if got := n.phases(); got[free] != plan.Conns {
		t.Errorf("%v connections by phase, want all free", got)
	}
	if !bytes.Equal(polite.got, frame(0x20, 0, 0)) {
		t.Errorf("polite got %x", polite.got)
	}
}

// TestStray answers a segment of no connection with a reset.
func TestStray(t *testing.T) {
	n := newNetwork(t)
	h := n.dial()
	n.settle()
	n.s.drop(&n.s.conns[0])
	if _, err := h.h.Write(hello('x')); err != nil {
		t.Fatal(err)
	}
	n.settle()
	if st := h.h.State(); st != tcp.StateClosed {
		t.Errorf("the host is %v, want closed", st)
	}
}

// TestProbe asks an idle connection whether it is there, in the way that a
// keep-alive and a host that waits for room do.
func TestProbe(t *testing.T) {
	n := newNetwork(t)
	h := n.dial()
	n.settle()
	p := [1600]byte{0x45}
	copy(p[12:], h.addr[:])
	copy(p[20:], h.last[:])
	probe, err := tcp.NewFrame(p[20:40])
	if err != nil {
		t.Fatal(err)
	}
	seq, ack := probe.Seq(), probe.Ack()
	probe.SetSeq(seq - 1)
	for range 20 { // as often as it likes
		if err := n.s.Demux(p[:40], 20); err != nil {
			t.Fatal(err)
		}
		out := [1600]byte{0x45}
		if k, _ := n.s.Encapsulate(out[:], 0, 20); k != header {
			t.Fatalf("an answer of %d bytes", k)
		}
		f, err := tcp.NewFrame(out[20:40])
		if err != nil {
			t.Fatal(err)
		}
		if _, flags := f.OffsetAndFlags(); flags != tcp.FlagACK || f.Seq() != ack || f.Ack() != seq || f.WindowSize() != plan.In {
			t.Fatalf("flags %v seq %d ack %d window %d", flags, f.Seq(), f.Ack(), f.WindowSize())
		}
		if k, _ := n.s.Encapsulate(out[:], 0, 20); k != 0 {
			t.Fatal("and another one")
		}
	}
}

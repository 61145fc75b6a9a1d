package lan

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/soypat/lneto"
	"github.com/soypat/lneto/dhcp/dhcpv4"
	"github.com/soypat/lneto/ipv4"
	"github.com/soypat/lneto/tcp"
	"github.com/soypat/lneto/udp"
)

var (
	us        = [6]byte{2, 0, 0, 0, 0, 1}
	broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	ours      = [4]byte{10, 0, 0, 1}
	server    = [4]byte{10, 0, 0, 254}
)

// A silent is a TCP server that never says a word.
type silent struct{ id uint64 }

func (s *silent) LocalPort() uint16                         { return 1883 }
func (s *silent) Protocol() uint64                          { return uint64(lneto.IPProtoTCP) }
func (s *silent) ConnectionID() *uint64                     { return &s.id }
func (s *silent) Demux([]byte, int) error                   { return nil }
func (s *silent) Encapsulate([]byte, int, int) (int, error) { return 0, nil }

func newStack(t *testing.T, addr [4]byte) *Stack {
	t.Helper()
	s := new(Stack)
	if err := s.Configure(Config{MAC: us, Addr: addr, Hostname: "test", Seed: 1}, new(silent)); err != nil {
		t.Fatal(err)
	}
	return s
}

// packet makes an IPv4 packet in an Ethernet frame; fill writes the payload and
// leaves the checksum at sum to packet.
func packet(mac [6]byte, from, to [4]byte, proto lneto.IPProto, size, sum int, fill func(payload []byte)) []byte {
	frame := make([]byte, 14+20+size)
	dst := us
	if to == ([4]byte{255, 255, 255, 255}) {
		dst = broadcast
	}
	copy(frame, dst[:])
	copy(frame[6:], mac[:])
	frame[12] = 8
	ip, _ := ipv4.NewFrame(frame[14:])
	ip.SetVersionAndIHL(4, 5)
	ip.SetTotalLength(uint16(20 + size))
	ip.SetTTL(64)
	ip.SetProtocol(proto)
	*ip.SourceAddr(), *ip.DestinationAddr() = from, to
	ip.SetCRC(ip.CalculateHeaderCRC())
	fill(ip.Payload())
	var crc lneto.CRC791
	if proto == lneto.IPProtoTCP {
		ip.CRCWriteTCPPseudo(&crc)
	} else {
		ip.CRCWriteUDPPseudo(&crc, uint16(size))
	}
	binary.BigEndian.PutUint16(ip.Payload()[sum:], crc.PayloadSum16(ip.Payload()))
	return frame
}

// sent returns all frames that are to go out.
func sent(s *Stack) (frames [][]byte) {
	var buf [MaxFrame]byte
	for n := s.Send(buf[:]); n > 0; n = s.Send(buf[:]) {
		frames = append(frames, append([]byte(nil), buf[:n]...))
	}
	return frames
}

// TestAnswersGoBack has hosts behind two routers and one on the same network:
// each is answered by the way its question came.
func TestAnswersGoBack(t *testing.T) {
	s := newStack(t, ours)
	sent(s) // the announcement of our address
	for i := range byte(3) {
		mac, addr := [6]byte{2, 0, 0, 0, 1, i}, [4]byte{192, 168, i, 9}
		s.Receive(packet(mac, addr, ours, lneto.IPProtoTCP, 20, 16, func(p []byte) {
			f, _ := tcp.NewFrame(p)
			f.SetSourcePort(40000)
			f.SetDestinationPort(9) // nobody listens: a reset comes back
			f.SetSegment(tcp.Segment{SEQ: 1, WND: 100, Flags: tcp.FlagSYN}, 5)
		}))
		frames := sent(s)
		if len(frames) != 1 || [6]byte(frames[0]) != mac || [4]byte(frames[0][30:]) != addr {
			t.Errorf("%x is answered by %x", mac, frames)
		}
	}
}

// TestARP answers who asks for us, and nobody else.
func TestARP(t *testing.T) {
	s := newStack(t, ours)
	if got := sent(s); len(got) != 1 || got[0][13] != 6 || [6]byte(got[0]) != broadcast {
		t.Errorf("announced with %x", got)
	}
	for _, c := range []struct {
		target [4]byte
		want   int
	}{{ours, 1}, {server, 0}} {
		asker := [6]byte{2, 0, 0, 0, 0, 7}
		frame := append(append(append([]byte(nil), broadcast[:]...), asker[:]...), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
		frame = append(append(frame, asker[:]...), 10, 0, 0, 7)
		frame = append(append(frame, make([]byte, 6)...), c.target[:]...)
		s.Receive(append(frame, make([]byte, 18)...))
		got := sent(s)
		if len(got) != c.want || (c.want > 0 && [6]byte(got[0]) != asker) {
			t.Errorf("asked for %v, answered %x", c.target, got)
		}
	}
}

// asked returns what the client wants of a DHCP server; 0: nothing.
func asked(s *Stack) (kind dhcpv4.MessageType, xid uint32, wants [4]byte) {
	for _, frame := range sent(s) {
		if len(frame) < 42+dhcpv4.OptionsOffset || frame[23] != byte(lneto.IPProtoUDP) {
			continue
		}
		f, _ := dhcpv4.NewFrame(frame[42:])
		xid = f.XID()
		_ = f.ForEachOption(func(_ int, opt dhcpv4.OptNum, data []byte) error {
			switch opt {
			case dhcpv4.OptMessageType:
				kind = dhcpv4.MessageType(data[0])
			case dhcpv4.OptRequestedIPaddress:
				wants = [4]byte(data)
			}
			return nil
		})
	}
	return kind, xid, wants
}

// reply has the server say something.
func reply(s *Stack, kind dhcpv4.MessageType, xid uint32, addr [4]byte, lease uint32) {
	const size = 8 + dhcpv4.OptionsOffset + 32
	s.Receive(packet([6]byte{2, 0, 0, 0, 0, 254}, server, [4]byte{255, 255, 255, 255}, lneto.IPProtoUDP, size, 6, func(p []byte) {
		u, _ := udp.NewFrame(p)
		u.SetSourcePort(dhcpv4.DefaultServerPort)
		u.SetDestinationPort(dhcpv4.DefaultClientPort)
		u.SetLength(size)
		f, _ := dhcpv4.NewFrame(p[8:])
		f.SetOp(dhcpv4.OpReply)
		f.SetXID(xid)
		*f.YIAddr() = addr
		f.SetMagicCookie(dhcpv4.MagicCookie)
		opts := f.OptionsPayload()
		n, _ := dhcpv4.EncodeOption(opts, dhcpv4.OptMessageType, byte(kind))
		m, _ := dhcpv4.EncodeOption(opts[n:], dhcpv4.OptServerIdentification, server[:]...)
		n += m
		m, _ = dhcpv4.EncodeOption32(opts[n:], dhcpv4.OptIPAddressLeaseTime, lease)
		opts[n+m] = byte(dhcpv4.OptEnd)
	}))
}

// exchange plays a whole one and expects the client to end with addr.
func exchange(t *testing.T, s *Stack, now time.Duration, addr [4]byte, lease uint32) {
	t.Helper()
	s.Step(now)
	kind, xid, _ := asked(s)
	if kind != dhcpv4.MsgDiscover {
		t.Fatalf("%v: sent %v, want DISCOVER", now, kind)
	}
	reply(s, dhcpv4.MsgOffer, xid, addr, lease)
	if kind, _, wants := asked(s); kind != dhcpv4.MsgRequest || wants != addr {
		t.Fatalf("%v: sent %v for %v, want REQUEST", now, kind, wants)
	}
	reply(s, dhcpv4.MsgAck, xid, addr, lease)
	s.Step(now)
	if got := s.Addr(); got != addr {
		t.Fatalf("%v: address %v, want %v", now, got, addr)
	}
}

// TestDHCP asks until there is an answer, renews in time, moves when it must,
// and lets go of an address whose time is up.
func TestDHCP(t *testing.T) {
	s := newStack(t, [4]byte{})
	at := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
	tries := 0
	for second := range 30 { // nobody there: 0, 4, 12, 28
		s.Step(at(second))
		if kind, _, _ := asked(s); kind == dhcpv4.MsgDiscover {
			tries++
		}
	}
	if tries != 4 {
		t.Errorf("asked %d times in half a minute, want 4", tries)
	}
	exchange(t, s, at(60), ours, 1000)
	s.Step(at(60 + 499))
	if kind, _, _ := asked(s); kind != 0 {
		t.Error("asked again before half of the lease was over:", kind)
	}
	exchange(t, s, at(60+500), ours, 1000)
	other := [4]byte{10, 0, 0, 2}
	exchange(t, s, at(60+1000), other, 1000)
	for second := 1060; second < 2060; second++ {
		s.Step(at(second))
		sent(s)
		if s.Addr() != other {
			t.Fatalf("lost the address after %d s", second)
		}
	}
	s.Step(at(2060))
	if s.Addr() != [4]byte{} {
		t.Error("kept the address when its time was up")
	}
	s.Step(at(2060 + 64))
	exchange(t, s, at(2060+128+64), ours, 0)
	s.Step(at(2060 + 10000))
	if s.Addr() != ours {
		t.Error("lost an address that was given for ever")
	}
}

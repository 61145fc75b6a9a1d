// Package lan is the board's side of a local network: Ethernet, ARP, IPv4 and
// DHCP around one TCP server, on lneto. Frames and time are handed in; nothing
// here blocks, and nothing allocates once an address is there.
package lan

import (
	"time"

	"github.com/soypat/lneto"
	"github.com/soypat/lneto/arp"
	"github.com/soypat/lneto/ethernet"
	"github.com/soypat/lneto/internet"
)

const (
	mtu = 1500
	// MaxFrame is what a buffer for frames must hold, in bytes, without the CRC.
	MaxFrame = 14 + mtu
)

// Config is what the board knows about itself.
type Config struct {
	MAC      [6]byte
	Addr     [4]byte // all zero: ask DHCP
	Hostname string  // told to DHCP; up to 36 bytes
	Seed     uint32  // makes DHCP's transactions differ from boot to boot
}

// Stack is one network interface. The zero value is not ready: Configure it. It
// is large and belongs in static memory.
type Stack struct {
	link  internet.StackEthernet
	arp   arp.Handler
	ip    internet.StackIPv4
	tcp   internet.StackPorts
	udp   internet.StackPorts
	check lneto.Validator
	seen  neighbours
	lease lease
	mac   [6]byte
}

// Configure sets the stack up, with server as the only one who takes TCP.
func (s *Stack) Configure(c Config, server lneto.StackNode) error {
	s.mac = c.MAC
	err := first(
		s.link.Configure(internet.StackEthernetConfig{MTU: mtu, MaxNodes: 2, MAC: c.MAC, Gateway: ethernet.BroadcastAddr()}),
		s.arp.Reset(arp.HandlerConfig{
			HardwareAddr: c.MAC[:], ProtocolAddr: c.Addr[:], MaxQueries: 1, MaxPending: 3,
			HardwareType: 1, ProtocolType: ethernet.TypeIPv4,
		}),
		s.ip.Reset(&s.check, 2),
		s.tcp.ResetTCP(1),
		s.udp.ResetUDP(1),
		s.link.RegisterEthernet(&s.arp),
		s.link.RegisterEthernet(&s.ip),
		s.ip.Register4(&s.tcp),
		s.ip.Register4(&s.udp),
		s.tcp.Register(server),
	)
	if err != nil {
		return err
	}
	s.lease.configure(c)
	if c.Addr != [4]byte{} {
		return s.address(c.Addr)
	}
	s.ip.SetAcceptBroadcast4(true) // a renewed lease may be broadcast
	return nil
}

// first returns the first error, so that a list of set-up steps reads as one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// address makes addr ours, and tells the network so.
func (s *Stack) address(addr [4]byte) error {
	s.ip.SetAddr4(addr)
	if err := s.arp.UpdateProtoAddr(addr[:]); err != nil {
		return err
	}
	if addr == [4]byte{} {
		return nil
	}
	return s.arp.StartQuery(addr[:], false)
}

// Addr returns the interface's address; all zero while DHCP has none for us.
func (s *Stack) Addr() [4]byte { return s.ip.Addr4() }

// Receive takes a frame that came in, without its CRC. What is not for us or
// not valid is dropped.
func (s *Stack) Receive(frame []byte) {
	const ipv4 = 14 + 20
	if len(frame) >= ipv4 && [6]byte(frame[:6]) == s.mac && frame[12] == 8 && frame[13] == 0 {
		s.seen.learn([4]byte(frame[26:30]), [6]byte(frame[6:12]))
	}
	// The error says why a frame was dropped, and a network has many to drop.
	_ = s.link.Demux(frame, 0)
}

// Send writes the next frame that is to go out into frame, which must hold
// MaxFrame bytes, and returns its length; 0: none.
func (s *Stack) Send(frame []byte) int {
	n, err := s.link.Encapsulate(frame, -1, 0)
	if n <= 0 || err != nil {
		return 0
	}
	if frame[12] == 8 && frame[13] == 0 {
		if mac, ok := s.seen.find([4]byte(frame[30:34])); ok {
			copy(frame, mac[:])
		}
	}
	return n
}

// Step moves the clock, which DHCP needs.
func (s *Stack) Step(now time.Duration) {
	if s.lease.wanted {
		s.lease.step(s, now)
	}
}

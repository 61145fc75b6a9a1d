package lan

// neighbours remembers which station each IPv4 address was last heard from, be
// it the host itself or the router before it: an answer goes back the way the
// question came. So one table serves any number of gateways, and the board
// never has to ask.
type neighbours struct {
	known [16]neighbour
	clock uint32
}

type neighbour struct {
	addr [4]byte
	mac  [6]byte
	used uint32 // neighbours.clock when last looked at; 0: empty
}

// learn notes that addr was heard from mac; the station that was quiet longest
// makes room.
func (n *neighbours) learn(addr [4]byte, mac [6]byte) {
	n.clock++
	oldest := &n.known[0]
	for i := range n.known {
		k := &n.known[i]
		if k.addr == addr {
			oldest = k
			break
		}
		if k.used < oldest.used {
			oldest = k
		}
	}
	*oldest = neighbour{addr: addr, mac: mac, used: n.clock}
}

// find returns the station to send to for addr.
func (n *neighbours) find(addr [4]byte) (mac [6]byte, ok bool) {
	n.clock++
	for i := range n.known {
		if k := &n.known[i]; k.used != 0 && k.addr == addr {
			k.used = n.clock
			return k.mac, true
		}
	}
	return mac, false
}

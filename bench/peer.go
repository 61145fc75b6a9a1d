package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// A peer is one connection to the broker.
type peer struct {
	nc         transport.Conn
	version    mqtt.Version
	receiveMax int // of the broker

	buf  []byte
	r, w int // buf[r:w] has been read and not taken apart
}

// hello is what a CONNECT says beyond the target.
type hello struct {
	id      string
	durable bool // the session outlives the connection
	buffer  int  // bytes to read into; 0: 4 KiB
}

// A RefusedError is a broker's no, in CONNACK, SUBACK, an acknowledgement or
// DISCONNECT.
type RefusedError struct {
	What string          // "CONNECT", "filter a/b", "PUBLISH", "connection"
	Code mqtt.ReasonCode // as 5.0 would say it
}

func (e *RefusedError) Error() string { return fmt.Sprintf("%s refused: %v", e.What, e.Code) }

// open dials, connects and waits for CONNACK.
func (t *Target) open(ctx context.Context, n int, h hello) (*peer, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	nc, err := t.dial(ctx, n)
	if err != nil {
		return nil, explain(err)
	}
	p := &peer{nc: nc, version: t.version(), buf: make([]byte, max(h.buffer, 4096))}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err = p.connect(t, h)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("no CONNACK: %w", ctx.Err())
		}
		return nil, fmt.Errorf("client %s: %w", h.id, err)
	}
	return p, nil
}

func (p *peer) connect(t *Target, h hello) error {
	c := packet.Connect{
		Version: p.version, CleanStart: !h.durable, ClientID: []byte(h.id),
		HasUsername: t.Username != "" || t.Password != "", HasPassword: t.Password != "",
		Username: []byte(t.Username), Password: []byte(t.Password),
	}
	if h.durable {
		c.Properties = &packet.Properties{SessionExpiryInterval: 3600}
	}
	if _, err := p.nc.Write(c.Append(nil)); err != nil {
		return err
	}
	body, err := p.await(packet.CONNACK)
	if err != nil {
		return err
	}
	var ack packet.Connack
	// Who knows no 5.0 says so as 3.1.1 would, without properties.
	if p.version == mqtt.V5 && len(body) == 2 {
		return &RefusedError{"CONNECT", mqtt.UnsupportedProtocolVersion}
	}
	if err := ack.Decode(p.version, body); err != nil {
		return err
	}
	p.receiveMax = 65535
	if p.version < mqtt.V5 {
		if ack.Return != mqtt.Accepted {
			return fmt.Errorf("CONNECT refused: return code %d", ack.Return)
		}
		return nil
	}
	if ack.Code >= 0x80 {
		return &RefusedError{"CONNECT", ack.Code}
	}
	if ack.Properties.Has(packet.PropReceiveMaximum) {
		p.receiveMax = int(ack.Properties.ReceiveMaximum)
	}
	return nil
}

// await reads until a packet of type want and returns its body, a view. What
// comes before is passed over.
func (p *peer) await(want packet.Type) ([]byte, error) {
	for {
		h, body, err := p.next()
		switch {
		case err != nil:
			return nil, err
		case h.Type == want:
			return body, nil
		case h.Type == packet.DISCONNECT:
			return nil, farewell(body)
		}
	}
}

// next returns the next packet, reading as needed. The body is a view that
// lasts until the next call.
func (p *peer) next() (packet.Header, []byte, error) {
	for {
		h, err := packet.ReadHeader(p.buf[p.r:p.w])
		if err == nil && p.w-p.r >= h.Size+h.Len {
			body := p.buf[p.r+h.Size : p.r+h.Size+h.Len]
			p.r += h.Size + h.Len
			return h, body, nil
		}
		if err != nil && !errors.Is(err, packet.ErrShort) {
			return h, nil, err
		}
		p.room(h.Size + h.Len)
		n, err := p.nc.Read(p.buf[p.w:])
		if p.w += n; n == 0 && err != nil {
			return h, nil, err
		}
	}
}

// room makes space for a packet of need bytes, by moving what is left to the
// front, and by growing where that is not enough.
func (p *peer) room(need int) {
	if need > len(p.buf) {
		p.buf = append(make([]byte, 0, 2*need), p.buf[:p.w]...)[:2*need]
	}
	if p.r > 0 {
		p.w = copy(p.buf, p.buf[p.r:p.w])
		p.r = 0
	}
}

// farewell is the error that a DISCONNECT from the broker is.
func farewell(body []byte) error {
	code := mqtt.Success
	if len(body) > 0 {
		code = mqtt.ReasonCode(body[0])
	}
	return &RefusedError{"connection", code}
}

// subscribe sends filters, many to a packet, and waits for all the answers.
func (p *peer) subscribe(t *Target, q mqtt.QoS, n int, filter func(i int) string) error {
	return p.ask(t, n, packet.SUBACK, func(dst []byte, id mqtt.PacketID, from, to int) []byte {
		s := packet.Subscribe{ID: id}
		for i := from; i < to; i++ {
			s.Filters = s.Filters.Add(packet.Subscription{Filter: []byte(filter(i)), QoS: q})
		}
		return s.Append(dst, p.version)
	}, filter)
}

func (p *peer) unsubscribe(t *Target, n int, filter func(i int) string) error {
	return p.ask(t, n, packet.UNSUBACK, func(dst []byte, id mqtt.PacketID, from, to int) []byte {
		s := packet.Unsubscribe{ID: id}
		for i := from; i < to; i++ {
			s.Filters = s.Filters.Add(filter(i))
		}
		return s.Append(dst, p.version)
	}, filter)
}

// How many filters go into a packet, and how many packets are asked at once.
const (
	perPacket = 100
	atOnce    = 10
)

func (p *peer) ask(t *Target, n int, want packet.Type, add func(dst []byte, id mqtt.PacketID, from, to int) []byte, filter func(i int) string) error {
	p.nc.SetDeadline(time.Now().Add(t.timeout()))
	defer p.nc.SetDeadline(time.Time{})
	var out []byte
	for from := 0; from < n; {
		out = out[:0]
		asked, first := 0, from
		for ; asked < atOnce && from < n; asked++ {
			to := min(from+perPacket, n)
			out = add(out, mqtt.PacketID(asked+1), from, to)
			from = to
		}
		if _, err := p.nc.Write(out); err != nil {
			return err
		}
		for range asked {
			body, err := p.await(want)
			if err != nil {
				return err
			}
			var ack packet.Suback
			if err := ack.Decode(p.version, want, body); err != nil {
				return err
			}
			for i, code := range ack.Codes {
				if code >= 0x80 {
					return &RefusedError{"filter " + filter(first+(int(ack.ID)-1)*perPacket+i), mqtt.ReasonCode(code)}
				}
			}
		}
	}
	return nil
}

// close says goodbye and closes.
func (p *peer) close() {
	p.nc.SetWriteDeadline(time.Now().Add(time.Second))
	d := packet.Disconnect{}
	p.nc.Write(d.Append(nil, p.version)) // the socket closes whether it is heard or not
	p.nc.Close()
}

package client_test

import (
	"context"
	"net"
	"net/url"
	"testing"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// Whatever a server sends, the connection ends in good order.
func FuzzServer(f *testing.F) {
	publish := packet.Publish{Topic: []byte("a"), Payload: []byte("x"), QoS: 2, ID: 1}
	release := packet.Ack{Type: packet.PUBREL, ID: 1}
	f.Add(false, []byte{0x20, 3, 0, 0, 0, 0x30, 4, 0, 1, 'a', 0})
	f.Add(true, append([]byte{0x20, 2, 0, 0}, publish.Append(nil, mqtt.V311)...))
	f.Add(false, release.Append(publish.Append([]byte{0x20, 3, 0, 0, 0}, mqtt.V5), mqtt.V5))
	f.Add(false, []byte{0x20, 3, 0, 0, 0, 0x30, 0xE8, 0x07, 0, 1, 'a', 0, 1, 2, 3})
	f.Add(false, []byte{0x20, 3, 0, 0, 0, 0xE0, 2, 0x8E, 0})
	f.Fuzz(func(t *testing.T, old bool, sent []byte) {
		o := client.Options{StreamAbove: 10, Version: mqtt.V5}
		if old {
			o.Version = mqtt.V311
		}
		o.Handler = func(_ context.Context, m client.Message) { m.Ack() }
		o.Dial = func(context.Context, *url.URL) (net.Conn, error) {
			near, far := transport.NewPipe(1 << 20)
			far.Write(sent)
			far.CloseWrite()
			return near, nil
		}
		c, err := client.Dial(context.Background(), "pipe://", o)
		if err != nil {
			return
		}
		<-c.Done()
		if c.Err() == nil {
			t.Error("the connection has ended for no reason")
		}
	})
}

package midge_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/transport"
)

// Behind a proxy hooks are told of the client, on loops as elsewhere; its first
// bytes may come with the header or behind it.
func TestBehindAProxy(t *testing.T) {
	from := make(chan string, 1)
	for _, url := range []string{"tcp://127.0.0.1:0", "unix://" + t.TempDir() + "/s"} {
		b, err := midge.New(midge.Config{
			Logger: quiet(),
			Listeners: []midge.Listener{{URL: url, Options: transport.Options{
				Proxies: &transport.Proxies{Trusted: func(netip.Addr) bool { return true }},
			}}},
			Hooks: midge.Hooks{Accept: func(_ context.Context, r midge.Remote, _ int) error {
				from <- r.Addr.String()
				return nil
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, together := range []bool{true, false} {
			nc, err := dialURL(b.Addrs()[0])
			if err != nil {
				t.Fatal(err)
			}
			hello := (&packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("c")}).Append(nil)
			header := "PROXY TCP6 2001:db8::7 2001:db8::1 4242 1883\r\n"
			if together {
				fmt.Fprintf(nc, "%s%s", header, hello)
			} else {
				fmt.Fprint(nc, header)
			}
			if a := <-from; a != "[2001:db8::7]:4242" {
				t.Errorf("%s: from %s", url, a)
			}
			if !together {
				nc.Write(hello)
			}
			p := &peer{t: t, nc: nc, v: mqtt.V5}
			p.want(packet.CONNACK)
			if c, ok := b.Client("c"); !ok || c.Addr.String() != "[2001:db8::7]:4242" {
				t.Errorf("%s: %+v", url, c)
			}
			p.publish("t", "x", mqtt.AtLeastOnce)
			p.want(packet.PUBACK)
			nc.Close()
		}
		if nc, err := dialURL(b.Addrs()[0]); err != nil {
			t.Error(err)
		} else if fmt.Fprint(nc, "no PROXY header"); true {
			io.Copy(io.Discard, nc) // to the end, or to a reset
			nc.Close()
		}
		if n := b.Stats().Refused; n.Proxy != 1 {
			t.Errorf("%s: %+v", url, n)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func dialURL(url string) (net.Conn, error) {
	return transport.Dial(context.Background(), url, transport.DialOptions{})
}

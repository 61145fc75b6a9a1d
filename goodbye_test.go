package midge_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A client that says goodbye and closes while the broker writes to it has said
// goodbye: the failed write does not turn it into a client that vanished.
func TestGoodbyeBehindAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorldSized(t, midge.Config{}, 4096)
		var got notes
		stop, err := w.b.Subscribe("will", 0, func(mqtt.Message) { got.add("will") })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		p := w.connect("p", withWill("will"))
		p.subscribe("flood", mqtt.AtMostOnce)
		for range 10 { // more than the pipe holds: the broker's writer blocks
			w.b.Publish(mqtt.Message{Topic: "flood", Payload: make([]byte, 2000)})
		}
		synctest.Wait()
		var late []byte
		for range 3 {
			late = (&packet.Publish{Topic: []byte("x"), QoS: 0}).Append(late, mqtt.V5)
		}
		p.write((&packet.Disconnect{}).Append(late, mqtt.V5))
		p.nc.Close()
		<-time.After(time.Minute)
		got.want(t)
		if n := len(w.b.Clients()); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}

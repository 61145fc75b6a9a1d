package client_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

var ctx = context.Background()

// Every version and quality of service, against the broker.
func TestRoundTrips(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		for q := range mqtt.QoS(3) {
			t.Run(fmt.Sprintf("%v QoS %d", v, q), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, midge.Config{})
					var got inbox
					c := w.client(client.Config{Options: client.Options{Version: v}})
					codes, err := c.Subscribe(ctx, client.Subscription{Filter: "a/+", QoS: q, Handler: got.take})
					if err != nil || !slices.Equal(codes, []mqtt.ReasonCode{mqtt.ReasonCode(q)}) {
						t.Fatal(codes, err)
					}
					for i := range 3 {
						if _, err := c.Publish(ctx, message("a/b", fmt.Sprint(i), q)); err != nil {
							t.Fatal(err)
						}
					}
					if texts := got.texts(); !slices.Equal(texts, []string{"0", "1", "2"}) {
						t.Errorf("got %q", texts)
					}
					if _, err := c.Unsubscribe(ctx, "a/+"); err != nil {
						t.Error(err)
					}
					if info, _ := c.Info(); info.Version != v {
						t.Errorf("speaks %v", info.Version)
					}
				})
			})
		}
	}
}

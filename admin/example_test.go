package admin_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/admin"
	"github.com/midgemq/midge/mqtt"
)

// A program that embeds the broker mounts the handler in its own server.
func Example() {
	quiet := slog.New(slog.DiscardHandler)
	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	server := httptest.NewServer(admin.New(admin.Config{Broker: b, Token: "a long secret", Logger: quiet}))
	defer server.Close()

	b.Publish(mqtt.Message{Topic: "attic", Payload: []byte("21.5")})
	c, err := admin.Open(server.URL, "a long secret", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	s, err := c.Stats(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready:", s.Ready, "published:", s.Broker.PublishedHere)
	// Output: ready: true published: 1
}

package telemetry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/telemetry"
)

func ExampleStart() {
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path, r.Header.Get("Authorization"))
	}))
	defer collector.Close()

	b, err := midge.New(midge.Config{Listeners: []midge.Listener{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	e, err := telemetry.Start(b, telemetry.Config{
		Endpoint: collector.URL,
		Headers:  map[string]string{"Authorization": "Bearer token"},
		Ratio:    0.01,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e.Close(context.Background())
	// Output: /v1/metrics Bearer token
}

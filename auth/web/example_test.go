package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/auth/web"
)

// A service that lets everybody in, and to topics of their own.
func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"result": "allow", "publish": ["%u/#"], "subscribe": ["%u/#"]}`)
	}))
	defer service.Close()

	logins, err := web.Open(web.Config{URL: service.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer logins.Close()
	guard := auth.New(auth.Policy{Authenticators: []auth.Authenticator{logins}})
	var cfg midge.Config
	guard.Install(&cfg.Hooks)

	c := midge.Connect{Username: "alice", HasUsername: true}
	err = cfg.Hooks.Authenticate(context.Background(), &c)
	fmt.Println(err, c.Access.MayPublish([]byte("alice/x")), c.Access.MayPublish([]byte("bob/x")))
	// Output: <nil> true false
}

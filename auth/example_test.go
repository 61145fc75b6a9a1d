package auth_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
)

// A broker that lets in the users of a password file and holds them to a file
// of rules, and takes up a change of either without dropping who may stay.
func Example() {
	users, err := auth.OpenPasswords("testdata/passwords")
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := auth.ParseACL("acl", strings.NewReader("allow readwrite home/%u/#"))
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := auth.Policy{Authenticators: []auth.Authenticator{users}, ACL: rules}
	guard := auth.New(policy)

	cfg := midge.Config{Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}}
	guard.Install(&cfg.Hooks)
	b, err := midge.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	if err := users.Reload(); err != nil {
		fmt.Fprintln(os.Stderr, err) // and everything stays as it was
	}
	policy.Anonymous = auth.AnonymousNever
	gone := guard.Apply(b, policy)
	fmt.Println(len(gone), "clients had to go")
	// Output: 0 clients had to go
}

func ExampleACL_Ask() {
	rules, _ := auth.ParseACL("acl", strings.NewReader("deny wildcard #\nallow read home/#"))
	fmt.Println(rules.Ask(auth.Subject{User: "alice"}, auth.Subscribe, "home/attic").Allowed)
	v := rules.Ask(auth.Subject{User: "alice"}, auth.Subscribe, "home/#")
	fmt.Println(v.Allowed, v.Place, v.Rule)
	// Output:
	// true
	// false acl:1 deny wildcard #
}

// Rules can be made by a program, too.
func ExampleRules() {
	rules, err := auth.Rules{
		Groups: map[string][]string{"crew": {"alice", "client:esp-*"}},
		List: []auth.Rule{
			{Deny: true, Actions: []string{"publish"}, Topics: []string{"home/+/lock"}},
			{Actions: []string{"readwrite"}, Topics: []string{"home/#"}, Groups: []string{"crew"}},
		},
	}.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	esp := auth.Subject{Client: "esp-7"}
	fmt.Println(rules.Ask(esp, auth.Publish, "home/attic/t").Allowed, rules.Ask(esp, auth.Publish, "home/door/lock").Allowed)
	// Output: true false
}

// A fixed is an Authenticator of one's own.
type fixed string

func (f fixed) Authenticate(_ context.Context, c *midge.Connect) (*auth.Identity, error) {
	if string(c.Password) != string(f) {
		return nil, auth.ErrNotMine
	}
	return &auth.Identity{User: c.Username, Proof: f}, nil
}

func (f fixed) Stays(id *auth.Identity) error {
	if id.Proof != f {
		return auth.ErrNotMine
	}
	return nil
}

func ExampleAuthenticator() {
	guard := auth.New(auth.Policy{Authenticators: []auth.Authenticator{fixed("open sesame")}})
	var cfg midge.Config
	guard.Install(&cfg.Hooks)
	err := cfg.Hooks.Authenticate(context.Background(), &midge.Connect{Username: "ali", HasUsername: true, Password: []byte("please")})
	fmt.Println(err)
	// Output: auth: bad user name or password
}

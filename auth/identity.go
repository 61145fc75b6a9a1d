package auth

import (
	"context"
	"errors"
	"time"

	"github.com/midgemq/midge"
)

// An Identity is what an authenticator found out about a client. Immutable.
type Identity struct {
	User   string // what rules call it; "": nobody in particular
	Groups []string
	Until  time.Time // when the connection ends at the latest; zero: never

	// Permissions are asked where the policy's rules say nothing; without
	// rules, alone. nil: the credentials say nothing of it.
	Permissions *Permissions

	// Proof is what the authenticator's Stays wants to see again.
	Proof any
}

// Permissions are topics that credentials themselves allow. Filters may have
// %c and %u in them.
type Permissions struct {
	Publish   []string
	Subscribe []string // and receive
}

// An Authenticator turns credentials into an identity. Its methods are called
// from many goroutines.
type Authenticator interface {
	// Authenticate says who c is. It may block for as long as ctx lets it. The
	// error is ErrNotMine for credentials that another authenticator may know,
	// and otherwise why the client is refused, perhaps a [midge.Refusal].
	Authenticate(ctx context.Context, c *midge.Connect) (*Identity, error)

	// Stays reports whether one who was let in earlier, by this authenticator
	// or one like it, would still be: nil, ErrNotMine, or why not.
	Stays(id *Identity) error
}

// A Method runs enhanced authentication (5.0, 4.12).
type Method interface {
	Name() string

	// Begin starts an exchange with a client, at CONNECT and at each
	// re-authentication.
	Begin(c *midge.Connect) Steps

	// Stays is that of an Authenticator.
	Stays(id *Identity) error
}

// Steps are one exchange.
type Steps interface {
	// Step takes the client's data and returns the server's. The exchange is
	// over with an identity, or with an error.
	Step(ctx context.Context, data []byte) (reply []byte, id *Identity, err error)
}

// ErrNotMine says that an authenticator has no opinion.
var ErrNotMine = errors.New("auth: credentials of another kind")

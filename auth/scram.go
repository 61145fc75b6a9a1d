package auth

import (
	"context"
	"errors"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth/scram"
	"github.com/midgemq/midge/mqtt"
)

// Scram is the Method SCRAM-SHA-256 for the users of a password file whose
// hash is of that kind. The password never leaves the client, and the client
// learns that the server knows it.
type Scram struct{ Users *Passwords }

// Name is [Method].
func (s Scram) Name() string { return scram.Method }

// Begin is [Method].
func (s Scram) Begin(c *midge.Connect) Steps {
	x := &scramSteps{claimed: c.Username, hasClaim: c.HasUsername}
	x.server = scram.NewServer(func(user string) *scram.Verifier {
		v, text := s.Users.verifier(user)
		x.hash = text
		return v
	}, s.Users.decoy, *s.Users.rounds.Load()...)
	return x
}

// Stays is [Method].
func (s Scram) Stays(id *Identity) error { return s.Users.Stays(id) }

type scramSteps struct {
	server   *scram.Server
	claimed  string // by CONNECT
	hasClaim bool
	hash     string
}

func (x *scramSteps) Step(_ context.Context, data []byte) (reply []byte, id *Identity, err error) {
	reply, done, err := x.server.Step(data)
	user := x.server.User()
	switch {
	case errors.Is(err, scram.ErrProof):
		return nil, nil, errors.Join(err, &midge.Refusal{Code: mqtt.BadUserNameOrPassword})
	case err != nil:
		return nil, nil, errors.Join(err, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: err.Error()})
	case x.hasClaim && x.claimed != user:
		return nil, nil, &midge.Refusal{Code: mqtt.NotAuthorized, Reason: "the user name is not the one of CONNECT"}
	case done:
		id = &Identity{User: user, Proof: passwordProof{user, x.hash}}
	}
	return reply, id, nil
}

package auth

import (
	"context"
	"crypto/rand"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth/scram"
	"github.com/midgemq/midge/internal/flight"
	"github.com/midgemq/midge/internal/gate"
	"github.com/midgemq/midge/mqtt"
)

// Passwords are users and the hashes of their passwords: an Authenticator of
// what CONNECT carries.
//
// Hashes are expensive to check, and strangers decide how often. Few are
// checked at once, one comparison is made once however many ask for it, and
// its outcome is remembered. Those who wait are served by address in turn; one
// too many is refused with "server busy". A user that does not exist costs the
// client as long as one that does. While a hash is computed, Go's scheduler has
// a processor more (runtime.GOMAXPROCS), for everybody else.
type Passwords struct {
	path string // immutable
	*effort

	users  atomic.Pointer[map[string]*Hash]
	rounds atomic.Pointer[[]int] // of those who can use SCRAM
	flight flight.Group[digest, bool]
	checks atomic.Int64 // hashes computed
}

// An effort is what all files of a process share: how much is done at once,
// and what is known. Files come and go with every reload. Immutable.
type effort struct {
	gate  *gate.Gate
	memo  *memo
	decoy []byte
}

// errBusy is a gate with too many in front of it.
var errBusy = &midge.Refusal{Code: mqtt.ServerBusy, Reason: "too many are logging in"}

func newEffort() *effort {
	return &effort{gate: gate.New(max(1, runtime.GOMAXPROCS(0)/2), 1024), memo: newMemo(), decoy: []byte(rand.Text())}
}

var shared = sync.OnceValue(newEffort)

// OpenPasswords reads a password file as mosquitto_passwd and midge passwd
// write it. An error names each line that is wrong.
func OpenPasswords(path string) (*Passwords, error) {
	p := &Passwords{path: path, effort: shared()}
	return p, p.Reload()
}

// Reload reads the file again. On an error everything stays as it was.
// [Guard.Apply] then ends the connections of users who are gone or have
// another hash.
func (p *Passwords) Reload() error {
	f, err := ReadPasswordFile(p.path)
	if err != nil {
		return err
	}
	users, err := f.hashes()
	if err != nil {
		return err
	}
	p.users.Store(&users)
	var rounds []int
	for _, name := range slices.Sorted(maps.Keys(users)) { // the same for a user each time
		if s, ok := users[name].algo.(scramHash); ok {
			rounds = append(rounds, s.Iterations)
		}
	}
	p.rounds.Store(&rounds)
	return nil
}

// passwordProof is the hash somebody's password matched.
type passwordProof struct{ user, hash string }

// Authenticate is [Authenticator].
func (p *Passwords) Authenticate(ctx context.Context, c *midge.Connect) (*Identity, error) {
	if !c.HasUsername {
		return nil, ErrNotMine
	}
	hash := (*p.users.Load())[c.Username]
	text := ""
	if hash != nil {
		text = hash.text
	}
	good, err := p.compare(ctx, c, hash, text)
	switch {
	case err != nil:
		return nil, err
	case good:
		return &Identity{User: c.Username, Proof: passwordProof{c.Username, text}}, nil
	case hash == nil:
		return nil, ErrNotMine
	}
	return nil, &midge.Refusal{Code: mqtt.BadUserNameOrPassword}
}

// Stays is [Authenticator].
func (p *Passwords) Stays(id *Identity) error {
	proof, ours := id.Proof.(passwordProof)
	if !ours {
		return ErrNotMine
	}
	if hash := (*p.users.Load())[proof.user]; hash == nil || hash.text != proof.hash {
		return ErrNotMine // another file may have it
	}
	return nil
}

// compare holds a password against a hash, nil for a user there is none of.
func (p *Passwords) compare(ctx context.Context, c *midge.Connect, hash *Hash, text string) (bool, error) {
	d := p.memo.digest([]byte(c.Username), []byte(text), c.Password)
	if good, known := p.memo.recall(text, d); known {
		return good, nil
	}
	from, password := gate.Source(c.Addr), append([]byte(nil), c.Password...)
	good, err := p.flight.Do(ctx, d, func(ctx context.Context) (bool, error) {
		if err := p.gate.Enter(ctx, from); err != nil {
			return false, err
		}
		defer p.gate.Leave()
		if good, known := p.memo.recall(text, d); known {
			return good, nil
		}
		good := p.check(hash, password)
		p.memo.remember(text, d, good)
		return good, nil
	})
	if err != nil {
		return false, errBusy
	}
	return good, nil
}

// check computes a hash: that of somebody else for a user who does not exist.
func (p *Passwords) check(hash *Hash, password []byte) bool {
	p.checks.Add(1)
	defer spares.lend()()
	if hash != nil {
		return hash.Matches(password)
	}
	for _, h := range *p.users.Load() {
		h.Matches(password)
		break
	}
	return false
}

// verifier is what SCRAM needs of a user; nil: nothing is there.
func (p *Passwords) verifier(user string) (*scram.Verifier, string) {
	hash := (*p.users.Load())[user]
	if hash == nil {
		return nil, ""
	}
	s, ok := hash.algo.(scramHash)
	if !ok {
		return nil, ""
	}
	return s.Verifier, hash.text
}

package auth

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/midgemq/midge/auth/scram"
)

// A Hash is what is kept of a password. Immutable; parse one with [ParseHash],
// make one with [HashPassword].
type Hash struct {
	text string // as it stands in a file
	algo interface {
		matches(password []byte) bool
	}
}

// Algorithm names a way to keep a password, as in midge passwd -H.
type Algorithm string

// What can be made. Argon2id, SHA512PBKDF2 and SHA512 are those of
// mosquitto_passwd; of these only the first is a match for today's crackers.
// ScramSHA256 is needed by those who log in with SCRAM, and does for a
// password in CONNECT, too.
const (
	Argon2id     Algorithm = "argon2id"
	SHA512PBKDF2 Algorithm = "sha512-pbkdf2"
	SHA512       Algorithm = "sha512"
	ScramSHA256  Algorithm = "scram-sha-256"
)

// Costs: for argon2id those of mosquitto_passwd 2.1, 46 MiB for each check.
const (
	argonTime    = 1
	argonMemory  = 47104 // KiB
	argonThreads = 1

	pbkdf2Rounds = 210_000 // mosquitto_passwd: 1000
	scramRounds  = scram.MinIterations

	mosquittoSalt = 12 // bytes: what every version of it takes
)

// Bounds of what is read: a file is trusted, a slip in it is not.
const (
	maxArgonMemory = 1 << 20 // KiB
	maxArgonTime   = 1000
	maxRounds      = 10_000_000
)

var errHash = errors.New("it is none of $6$ (sha512), $7$ (sha512-pbkdf2), $argon2id$ and $scram-sha-256$")

func (h *Hash) String() string { return h.text }

// Matches reports whether password is the one that was hashed. It takes
// milliseconds, argon2id tens of megabytes, too: bound how many run at once.
func (h *Hash) Matches(password []byte) bool { return h.algo.matches(password) }

// HashPassword makes a hash with a fresh salt. rounds is how often PBKDF2 and
// SCRAM go round; 0: 210,000 and 4096. Argon2id takes none.
func HashPassword(a Algorithm, password string, rounds int) (*Hash, error) {
	salt := make([]byte, 16)
	rand.Read(salt)
	switch a {
	case Argon2id:
		key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, 32)
		return ParseHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
			base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)))
	case SHA512PBKDF2:
		if rounds == 0 {
			rounds = pbkdf2Rounds
		}
		salt = salt[:mosquittoSalt]
		key, err := pbkdf2.Key(sha512.New, password, salt, rounds, sha512.Size)
		if err != nil {
			return nil, err
		}
		return ParseHash(fmt.Sprintf("$7$%d$%s$%s", rounds, b64.EncodeToString(salt), b64.EncodeToString(key)))
	case SHA512:
		salt = salt[:mosquittoSalt]
		return ParseHash("$6$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(saltedSHA512([]byte(password), salt)))
	case ScramSHA256:
		if rounds == 0 {
			rounds = scramRounds
		}
		v, err := scram.Derive(password, salt, rounds)
		if err != nil {
			return nil, err
		}
		return ParseHash(fmt.Sprintf("$scram-sha-256$%d$%s$%s$%s", rounds, b64.EncodeToString(salt),
			b64.EncodeToString(v.StoredKey), b64.EncodeToString(v.ServerKey)))
	}
	return nil, fmt.Errorf("auth: %q is none of argon2id, sha512-pbkdf2, sha512 and scram-sha-256", a)
}

var b64 = base64.StdEncoding

// ParseHash reads what stands behind the user's name in a password file.
func ParseHash(text string) (*Hash, error) {
	h := &Hash{text: text}
	parts := strings.Split(text, "$")
	if len(parts) < 2 || parts[0] != "" {
		return nil, errHash
	}
	var err error
	switch p := parts[2:]; {
	case parts[1] == "6" && len(p) == 2:
		var s sha512Hash
		s.salt, s.key, err = saltAndKey(b64, p[0], p[1], sha512.Size)
		h.algo = s
	case parts[1] == "7" && len(p) == 3:
		var s pbkdf2Hash
		s.rounds, err = number(p[0], 1, maxRounds)
		if err == nil {
			s.salt, s.key, err = saltAndKey(b64, p[1], p[2], sha512.Size)
		}
		h.algo = s
	case parts[1] == "argon2id" && len(p) == 4:
		h.algo, err = parseArgon(p)
	case parts[1] == "scram-sha-256" && len(p) == 4:
		h.algo, err = parseScram(p)
	default:
		err = errHash
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

func number(text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%q is no number of %d to %d", text, low, high)
	}
	return n, nil
}

func saltAndKey(enc *base64.Encoding, salt64, key64 string, size int) (salt, key []byte, err error) {
	if salt, err = enc.DecodeString(salt64); err != nil {
		return nil, nil, errors.New("the salt is not base64")
	}
	if key, err = enc.DecodeString(key64); err != nil || size > 0 && len(key) != size || len(key) < 16 {
		return nil, nil, errors.New("the hash is not base64, or not as long as it should be")
	}
	return salt, key, nil
}

type sha512Hash struct{ salt, key []byte }

func saltedSHA512(password, salt []byte) []byte {
	h := sha512.New()
	h.Write(password)
	h.Write(salt)
	return h.Sum(nil)
}

func (h sha512Hash) matches(password []byte) bool {
	return subtle.ConstantTimeCompare(saltedSHA512(password, h.salt), h.key) == 1
}

type pbkdf2Hash struct {
	rounds    int
	salt, key []byte
}

func (h pbkdf2Hash) matches(password []byte) bool {
	key, err := pbkdf2.Key(sha512.New, string(password), h.salt, h.rounds, len(h.key))
	return err == nil && subtle.ConstantTimeCompare(key, h.key) == 1
}

type argonHash struct {
	time, memory uint32
	threads      uint8
	salt, key    []byte
}

func parseArgon(p []string) (h argonHash, err error) {
	if p[0] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, fmt.Errorf("argon2id %s: only v=%d is known", p[0], argon2.Version)
	}
	costs := strings.Split(p[1], ",")
	var n [3]int
	for i, name := range []string{"m=", "t=", "p="} {
		if len(costs) != 3 || !strings.HasPrefix(costs[i], name) {
			return h, fmt.Errorf("argon2id %q: want m, t and p", p[1])
		}
		if n[i], err = number(costs[i][2:], 1, []int{maxArgonMemory, maxArgonTime, 255}[i]); err != nil {
			return h, fmt.Errorf("argon2id %s%w", name, err)
		}
	}
	h.memory, h.time, h.threads = uint32(n[0]), uint32(n[1]), uint8(n[2])
	h.salt, h.key, err = saltAndKey(base64.RawStdEncoding, p[2], p[3], 0)
	return h, err
}

func (h argonHash) matches(password []byte) bool {
	key := argon2.IDKey(password, h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

type scramHash struct{ *scram.Verifier }

func parseScram(p []string) (h scramHash, err error) {
	v := new(scram.Verifier)
	if v.Iterations, err = number(p[0], scram.MinIterations, scram.MaxIterations); err != nil {
		return h, err
	}
	if v.Salt, v.StoredKey, err = saltAndKey(b64, p[1], p[2], 32); err != nil {
		return h, err
	}
	_, v.ServerKey, err = saltAndKey(b64, p[1], p[3], 32)
	return scramHash{v}, err
}

func (h scramHash) matches(password []byte) bool { return h.Verifier.Matches(string(password)) }

// Package scram is SCRAM-SHA-256 (RFC 5802, RFC 7677), both ends, without
// channel binding: what AUTH packets carry when a client proves that it knows
// a password, and the server that it knows the client. It does no I/O.
//
// Names and passwords are taken byte by byte: SASLprep is left to who needs
// more than ASCII.
package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Method is the name of the method.
const Method = "SCRAM-SHA-256"

// Rounds of the key derivation, which the client has to do at each connection:
// the least that RFC 7677 allows, and the most that is taken from a peer.
const (
	MinIterations = 4096
	MaxIterations = 10_000_000
)

// A Verifier is what a server keeps of a password. It proves nothing to other
// servers, and the password is as hard to find from it as Iterations say.
type Verifier struct {
	Salt       []byte
	Iterations int
	StoredKey  []byte // 32 bytes
	ServerKey  []byte // 32 bytes
}

// Derive makes the verifier of a password. It takes as long as iterations say.
func Derive(password string, salt []byte, iterations int) (*Verifier, error) {
	k, err := derive(password, salt, iterations)
	if err != nil {
		return nil, err
	}
	return &Verifier{Salt: salt, Iterations: iterations, StoredKey: k.stored, ServerKey: k.server}, nil
}

// keys are all there is to derive from a password.
type keys struct{ client, stored, server []byte }

func derive(password string, salt []byte, iterations int) (k keys, err error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return k, fmt.Errorf("scram: %w", err)
	}
	k.client, k.server = mac(salted, "Client Key"), mac(salted, "Server Key")
	stored := sha256.Sum256(k.client)
	k.stored = stored[:]
	return k, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Matches reports whether password is the one v was made of. It takes as long
// as Derive.
func (v *Verifier) Matches(password string) bool {
	k, err := derive(password, v.Salt, v.Iterations)
	return err == nil && subtle.ConstantTimeCompare(k.stored, v.StoredKey) == 1
}

// Errors of an exchange. What the peer sent is not repeated.
var (
	ErrMalformed = errors.New("scram: malformed message")
	ErrBinding   = errors.New("scram: channel binding is not offered")
	ErrProof     = errors.New("scram: wrong password")
	ErrServer    = errors.New("scram: the server does not know the password")
)

// transcript is what both ends sign.
type transcript struct{ clientFirst, serverFirst, clientFinal string }

func (t *transcript) String() string {
	return t.clientFirst + "," + t.serverFirst + "," + t.clientFinal
}

// nonce is a fresh one, printable.
func nonce() string { return rand.Text() }

// attribute takes "x=value" off the front of a message.
func attribute(message string, name byte) (value, rest string, ok bool) {
	if len(message) < 2 || message[0] != name || message[1] != '=' {
		return "", message, false
	}
	value, rest, _ = strings.Cut(message[2:], ",")
	return value, rest, true
}

var b64 = base64.StdEncoding

// unescape reads a name: =2C is a comma, =3D an equals sign, no other = is
// allowed (RFC 5802, 5.1).
func unescape(name string) (string, bool) {
	plain := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
	return plain, name != "" && strings.Count(name, "=") == strings.Count(name, "=2C")+strings.Count(name, "=3D")
}

func escape(name string) string { return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(name) }

func iterations(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= MinIterations && n <= MaxIterations
}

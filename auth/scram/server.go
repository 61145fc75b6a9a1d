package scram

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"strconv"
	"strings"
)

// A Server is the server's end of one exchange.
type Server struct {
	// Lookup returns what is kept of a user's password. For a user there is
	// none of it returns nil, and the exchange fails at its end: see Decoy.
	Lookup func(user string) *Verifier

	nonce    func() string
	step     int
	user     string
	known    bool
	verifier *Verifier
	log      transcript
	header   string // of the client's first message
	full     string // nonce
}

// NewServer returns the server's end of an exchange. decoy keys the salts
// that users who do not exist are shown, so that they cannot be told from
// those who do: secret, 16 bytes or more, the same for all exchanges. rounds
// are the Iterations that there are among users; none: MinIterations.
func NewServer(lookup func(user string) *Verifier, decoy []byte, rounds ...int) *Server {
	s := &Server{nonce: nonce}
	s.Lookup = func(user string) *Verifier {
		v := lookup(user)
		if s.known = v != nil; s.known {
			return v
		}
		salt := mac(decoy, user)
		n := MinIterations
		if len(rounds) > 0 {
			n = rounds[int(binary.BigEndian.Uint16(salt[16:]))%len(rounds)]
		}
		return &Verifier{Salt: salt[:16], Iterations: n, StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}
	}
	return s
}

// User is who the client says it is, from the first step on.
func (s *Server) User() string { return s.user }

// Step answers a message of the client. done says that the client has proven
// to be User, and that reply is the server's own proof.
func (s *Server) Step(message []byte) (reply []byte, done bool, err error) {
	s.step++
	switch s.step {
	case 1:
		reply, err = s.first(string(message))
		return reply, false, err
	case 2:
		reply, err = s.final(string(message))
		return reply, err == nil, err
	}
	return nil, false, ErrMalformed
}

// first takes "n,,n=user,r=nonce" and answers "r=nonce,s=salt,i=rounds".
func (s *Server) first(message string) ([]byte, error) {
	flag, rest, ok := strings.Cut(message, ",")
	switch {
	case !ok || flag == "":
		return nil, ErrMalformed
	case flag[0] == 'p':
		return nil, ErrBinding
	case flag != "n" && flag != "y":
		return nil, ErrMalformed
	}
	authzid, bare, ok := strings.Cut(rest, ",")
	if !ok {
		return nil, ErrMalformed
	}
	s.header, s.log.clientFirst = flag+","+authzid+",", bare
	name, bare, ok := attribute(bare, 'n') // an extension, m=, has no place in front of it
	if !ok {
		return nil, ErrMalformed
	}
	if s.user, ok = unescape(name); !ok || authzid != "" && authzid != "a="+name {
		return nil, ErrMalformed
	}
	theirs, _, ok := attribute(bare, 'r')
	if !ok || theirs == "" {
		return nil, ErrMalformed
	}
	s.verifier = s.Lookup(s.user)
	s.full = theirs + s.nonce()
	s.log.serverFirst = "r=" + s.full + ",s=" + b64.EncodeToString(s.verifier.Salt) + ",i=" + strconv.Itoa(s.verifier.Iterations)
	return []byte(s.log.serverFirst), nil
}

// final takes "c=header,r=nonce,p=proof" and answers "v=signature".
func (s *Server) final(message string) ([]byte, error) {
	at := strings.LastIndex(message, ",p=")
	if at < 0 {
		return nil, ErrMalformed
	}
	s.log.clientFinal = message[:at]
	proof, err := b64.DecodeString(message[at+3:])
	if err != nil || len(proof) != sha256.Size {
		return nil, ErrMalformed
	}
	binding, rest, ok := attribute(s.log.clientFinal, 'c')
	full, _, okNonce := attribute(rest, 'r')
	if !ok || !okNonce || full != s.full || binding != b64.EncodeToString([]byte(s.header)) {
		return nil, ErrMalformed
	}
	// ClientKey is the proof without what the stored key signed.
	clientKey := mac(s.verifier.StoredKey, s.log.String())
	subtle.XORBytes(clientKey, clientKey, proof)
	stored := sha256.Sum256(clientKey)
	if !hmac.Equal(stored[:], s.verifier.StoredKey) || !s.known {
		return nil, ErrProof
	}
	return []byte("v=" + b64.EncodeToString(mac(s.verifier.ServerKey, s.log.String()))), nil
}

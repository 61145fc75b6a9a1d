package scram

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
	"strings"
)

// A Client is the client's end: an Authenticator of package client. It is for
// one connection at a time.
type Client struct {
	// Immutable.
	user, password string
	nonce          func() string

	log  transcript
	ours string // nonce
	keys keys
}

// NewClient returns the client's end for a user.
func NewClient(user, password string) *Client {
	return &Client{user: user, password: password, nonce: nonce}
}

// header says that there is no channel binding.
const header = "n,,"

// Method is SCRAM-SHA-256.
func (c *Client) Method() string { return Method }

// Start begins an exchange and returns its first message.
func (c *Client) Start(context.Context) ([]byte, error) {
	c.ours, c.keys = c.nonce(), keys{}
	c.log = transcript{clientFirst: "n=" + escape(c.user) + ",r=" + c.ours}
	return []byte(header + c.log.clientFirst), nil
}

// Continue answers the server's challenge. It takes as long as the server's
// number of iterations says.
func (c *Client) Continue(_ context.Context, challenge []byte) ([]byte, error) {
	full, rest, ok := attribute(string(challenge), 'r')
	salt64, rest, okSalt := attribute(rest, 's')
	rounds, _, okRounds := attribute(rest, 'i')
	n, fair := iterations(rounds)
	salt, err := b64.DecodeString(salt64)
	if !ok || !okSalt || !okRounds || !fair || err != nil || len(salt) == 0 ||
		c.ours == "" || c.keys.client != nil || len(full) <= len(c.ours) || !strings.HasPrefix(full, c.ours) {
		return nil, ErrMalformed
	}
	if c.keys, err = derive(c.password, salt, n); err != nil {
		return nil, err
	}
	c.log.serverFirst = string(challenge)
	c.log.clientFinal = "c=" + b64.EncodeToString([]byte(header)) + ",r=" + full
	proof := mac(c.keys.stored, c.log.String())
	subtle.XORBytes(proof, proof, c.keys.client)
	return []byte(c.log.clientFinal + ",p=" + b64.EncodeToString(proof)), nil
}

// Finish checks the server's proof.
func (c *Client) Finish(_ context.Context, data []byte) error {
	signature, _, ok := attribute(string(data), 'v')
	got, err := b64.DecodeString(signature)
	if !ok || err != nil || c.keys.server == nil || !hmac.Equal(got, mac(c.keys.server, c.log.String())) {
		return ErrServer
	}
	return nil
}

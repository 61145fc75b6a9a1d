package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// An Authenticator is the client's half of an enhanced authentication method,
// such as SCRAM (5.0, 4.12). Its methods are called one at a time, Start
// first, at each connection and each Reauthenticate.
type Authenticator interface {
	// Method names it; always the same.
	Method() string

	// Start returns the first data to send; nil: none.
	Start(ctx context.Context) ([]byte, error)

	// Continue answers the server's challenge.
	Continue(ctx context.Context, challenge []byte) ([]byte, error)

	// Finish sees what came with the server's consent, nil if nothing did; an
	// error there means that it is not the server it should be.
	Finish(ctx context.Context, data []byte) error
}

// An authStep is what the server said to Reauthenticate.
type authStep struct {
	code mqtt.ReasonCode
	data []byte
}

var (
	errNoAuth     = errors.New("client: Options.Auth is not set, or the connection is older than 5.0")
	errReauthBusy = errors.New("client: another Reauthenticate is under way")
)

// authDuringConnect answers an AUTH that comes before CONNACK.
func (c *Conn) authDuringConnect(ctx context.Context, set *settings, p *packet.Auth) error {
	if set.Auth == nil || p.Code != mqtt.ContinueAuthentication {
		return c.mistaken(errUnsolicitedAuth)
	}
	data, err := set.Auth.Continue(ctx, append([]byte(nil), p.Properties.AuthenticationData...))
	if err != nil {
		return fmt.Errorf("client: authentication: %w", err)
	}
	if _, err := c.nc.Write(c.w.Auth(nil, authPacket(set.Auth, mqtt.ContinueAuthentication, data))); err != nil {
		return fmt.Errorf("client: write: %w", err)
	}
	return nil
}

// authPacket is always under the method of CONNECT
// [MQTT-4.12.0-5, 5.0] [MQTT-4.12.1-1, 5.0].
func authPacket(a Authenticator, code mqtt.ReasonCode, data []byte) *packet.Auth {
	return &packet.Auth{Code: code, Properties: &packet.Properties{
		AuthenticationMethod: []byte(a.Method()), AuthenticationData: data,
	}}
}

// authStep hands an AUTH to the Reauthenticate that waits for it.
func (c *Conn) authStep(p *packet.Auth) error {
	c.s.mu.Lock()
	busy := c.reauthenticate
	c.s.mu.Unlock()
	if !busy {
		return errUnsolicitedAuth
	}
	select {
	case c.reauth <- authStep{p.Code, append([]byte(nil), p.Properties.AuthenticationData...)}:
		return nil
	default:
		return errUnsolicitedAuth
	}
}

// Reauthenticate proves again who the client is, without a new connection. A
// server that is not convinced ends the connection; so does an Authenticator
// that is not, or a ctx that ends halfway.
func (c *Conn) Reauthenticate(ctx context.Context) error {
	auth := c.set.Auth
	if auth == nil || c.version != mqtt.V5 {
		return errNoAuth
	}
	c.s.mu.Lock()
	busy := c.reauthenticate
	c.reauthenticate = true
	c.s.mu.Unlock()
	if busy {
		return errReauthBusy
	}
	defer func() {
		c.s.mu.Lock()
		c.reauthenticate = false
		c.s.mu.Unlock()
	}()
	data, err := auth.Start(ctx)
	if err != nil {
		return fmt.Errorf("client: authentication: %w", err)
	}
	if err = c.prove(ctx, auth, data); err != nil {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		c.endLocked(err, mqtt.UnspecifiedError) // [MQTT-4.12.1-2, 5.0]
	}
	return err
}

// prove goes from the first AUTH to the server's consent.
func (c *Conn) prove(ctx context.Context, auth Authenticator, data []byte) (err error) {
	c.s.enter()
	defer c.s.leave()
	code := mqtt.Reauthenticate
	for err == nil {
		c.sendAuth(authPacket(auth, code, data))
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-c.read: // not done, which waits for the handler we may be in
			return c.Err()
		case step := <-c.reauth:
			if step.code == mqtt.Success {
				if err = auth.Finish(ctx, step.data); err == nil {
					return nil
				}
				break
			}
			code = mqtt.ContinueAuthentication // [MQTT-4.12.0-3, 5.0]
			data, err = auth.Continue(ctx, step.data)
		}
	}
	return fmt.Errorf("client: authentication: %w", err)
}

func (c *Conn) sendAuth(p *packet.Auth) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if !c.ending {
		c.out = c.w.Auth(c.out, p)
		c.wakeWriter()
	}
}

package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// riddles is a method with two rounds.
type riddles struct{ log []string }

func (r *riddles) Method() string { return "RIDDLE" }
func (r *riddles) Start(context.Context) ([]byte, error) {
	r.log = append(r.log, "start")
	return []byte("me"), nil
}

func (r *riddles) Continue(_ context.Context, challenge []byte) ([]byte, error) {
	r.log = append(r.log, "continue "+string(challenge))
	if string(challenge) == "unfair" {
		return nil, errors.New("no answer")
	}
	return []byte("answer"), nil
}

func (r *riddles) Finish(_ context.Context, data []byte) error {
	r.log = append(r.log, "finish "+string(data))
	if string(data) == "imposter" {
		return errors.New("not my server")
	}
	return nil
}

func (p *peer) auth(code mqtt.ReasonCode, data string) {
	p.t.Helper()
	a := packet.Auth{Code: code, Properties: &packet.Properties{AuthenticationMethod: []byte("RIDDLE"), AuthenticationData: []byte(data)}}
	p.write(a.Append(nil, mqtt.V5))
}

func (p *peer) wantAuth() (a packet.Auth) {
	p.t.Helper()
	if err := a.Decode(p.want(packet.AUTH)); err != nil || string(a.Properties.AuthenticationMethod) != "RIDDLE" {
		p.t.Fatalf("%+v, %v", a, err)
	}
	return a
}

// [MQTT-3.1.2-30, 5.0] [MQTT-4.12.0-3, 5.0] [MQTT-4.12.0-5, 5.0] [MQTT-4.12.1-1, 5.0] [X5-4.12-a]
func TestEnhancedAuthentication(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		r := &riddles{}
		c := v.newClient(client.Config{Options: client.Options{Auth: r}})
		early, _ := c.Enqueue(ctx, message("a", "", 1))
		c.Start()
		p := v.accept()
		connect := p.wantConnect()
		if string(connect.Properties.AuthenticationMethod) != "RIDDLE" || string(connect.Properties.AuthenticationData) != "me" {
			t.Errorf("%+v", connect.Properties)
		}
		p.auth(mqtt.ContinueAuthentication, "why?")
		if a := p.wantAuth(); a.Code != mqtt.ContinueAuthentication || string(a.Properties.AuthenticationData) != "answer" {
			t.Errorf("%+v", a)
		}
		p.wantIdle(s) // nothing but AUTH before CONNACK
		p.connack(func(k *packet.Connack) {
			k.Properties.AuthenticationMethod, k.Properties.AuthenticationData = []byte("RIDDLE"), []byte("proof")
		})
		p.ack(packet.PUBACK, p.wantPublish().ID, 0)
		early.Wait(ctx)

		again := later(func() error { return c.Reauthenticate(ctx) })
		if a := p.wantAuth(); a.Code != mqtt.Reauthenticate {
			t.Errorf("%+v", a)
		}
		if err := c.Reauthenticate(ctx); err == nil {
			t.Error("two at once")
		}
		p.auth(mqtt.ContinueAuthentication, "still?")
		if a := p.wantAuth(); a.Code != mqtt.ContinueAuthentication {
			t.Errorf("%+v", a)
		}
		p.auth(mqtt.Success, "")
		if err := result(t, again); err != nil {
			t.Error(err)
		}
		if got, want := fmt.Sprint(r.log), "[start continue why? finish proof start continue still? finish ]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		p.auth(mqtt.ContinueAuthentication, "unasked")
		p.wantEnd(mqtt.ProtocolError)
	})
}

func TestAuthenticationFails(t *testing.T) {
	for name, say := range map[string]func(*peer){
		"unfair": func(p *peer) { p.auth(mqtt.ContinueAuthentication, "unfair") },
		"imposter": func(p *peer) {
			p.connack(func(k *packet.Connack) {
				k.Properties.AuthenticationMethod, k.Properties.AuthenticationData = []byte("RIDDLE"), []byte("imposter")
			})
		},
	} {
		in(t, func(t *testing.T, v *server) {
			call := later(func() error {
				_, err := client.Dial(ctx, "mqtt://server", client.Options{Auth: &riddles{}, Dial: v.dial})
				return err
			})
			p := v.accept()
			p.wantConnect()
			say(p)
			if err := result(t, call); err == nil {
				t.Errorf("%s: let in", name)
			}
			p.wantGone()
		})
	}
}

// A request that waits in the middle of Reauthenticate when the connection ends.
func TestReauthenticateEnds(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		c, p := v.dialed(client.Options{Auth: &riddles{}}, func(k *packet.Connack) {
			k.Properties.AuthenticationMethod = []byte("RIDDLE")
		})
		again := later(func() error { return c.Reauthenticate(ctx) })
		p.wantAuth()
		p.write([]byte{0xE0, 1, byte(mqtt.NotAuthorized)})
		var ended *client.DisconnectError
		if err := result(t, again); !errors.As(err, &ended) || ended.Code != mqtt.NotAuthorized {
			t.Error(err)
		}
		synctest.Wait()
		plain, _ := v.dialed(client.Options{})
		if plain.Reauthenticate(ctx) == nil {
			t.Error("without a method")
		}
	})
}

// A handler that waits for Reauthenticate when the connection ends does not
// wait for its own end.
func TestReauthenticateInAHandler(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		var c *client.Conn
		ended := make(chan error, 1)
		ready := make(chan struct{})
		c, p := v.dialed(client.Options{Auth: &riddles{}, Handler: func(context.Context, client.Message) {
			<-ready
			ended <- c.Reauthenticate(context.Background())
		}}, method)
		close(ready)
		p.publish("a", "", 0, 0)
		p.wantAuth()
		p.nc.Close()
		if err := result(t, ended); err == nil {
			t.Error("authenticated by nobody")
		}
	})
}

func method(k *packet.Connack) { k.Properties.AuthenticationMethod = []byte("RIDDLE") }

// [MQTT-4.12.1-2, 5.0] An authentication that fails on our side, or is given
// up, ends the connection: half of one means nothing.
func TestReauthenticateFails(t *testing.T) {
	for name, say := range map[string]func(*peer, context.CancelFunc){
		"unfair":   func(p *peer, _ context.CancelFunc) { p.auth(mqtt.ContinueAuthentication, "unfair") },
		"imposter": func(p *peer, _ context.CancelFunc) { p.auth(mqtt.Success, "imposter") },
		"given up": func(_ *peer, cancel context.CancelFunc) { cancel() },
	} {
		in(t, func(t *testing.T, v *server) {
			c, p := v.dialed(client.Options{Auth: &riddles{}}, method)
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			again := later(func() error { return c.Reauthenticate(ctx) })
			p.wantAuth()
			say(p, cancel)
			if err := result(t, again); err == nil {
				t.Errorf("%s: authenticated", name)
			}
			p.wantEnd(mqtt.UnspecifiedError)
		})
	}
}

// A client that wants enhanced authentication is not talked out of it by a
// server that says it knows no 5.0.
func TestAuthenticationIsNotLeftOut(t *testing.T) {
	in(t, func(t *testing.T, v *server) {
		call := later(func() error {
			_, err := client.Dial(ctx, "mqtt://server", client.Options{Auth: &riddles{}, Dial: v.dial})
			return err
		})
		p := v.accept()
		p.wantConnect()
		p.connack(refuse(mqtt.UnsupportedProtocolVersion))
		var refused *client.ConnectError
		if err := result(t, call); !errors.As(err, &refused) {
			t.Error(err)
		}
	})
}

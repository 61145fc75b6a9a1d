package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// A Backoff is the pause before the next attempt: it grows from Min to Max by
// Factor at each failure, and is shortened by chance. It begins anew only
// after a connection that has lasted longer than the pause before it: a server
// that lets everybody in and throws them out again is not hammered.
type Backoff struct {
	Min, Max time.Duration // 0: 1 s and 2 minutes
	Factor   float64       // [1, 100]; 0: 2
	Jitter   float64       // the part of the pause left to chance, [0, 1]; 0: 0.5; negative: none
}

func (b *Backoff) check() error {
	if b.Min == 0 {
		b.Min = time.Second
	}
	if b.Max == 0 {
		b.Max = max(2*time.Minute, b.Min)
	}
	if b.Factor == 0 {
		b.Factor = 2
	}
	if b.Jitter == 0 {
		b.Jitter = 0.5
	}
	if b.Min < 0 || b.Max < b.Min || b.Factor < 1 || b.Factor > 100 || b.Jitter > 1 {
		return errors.New("client: Backoff: want 0 <= Min <= Max, Factor 1 to 100, Jitter at most 1")
	}
	return nil
}

// next is the full pause that follows one of full.
func (b *Backoff) next(full time.Duration) time.Duration {
	if full == 0 {
		return b.Min
	}
	return min(time.Duration(float64(full)*b.Factor), b.Max)
}

// shorten leaves part of a pause to chance.
func (b *Backoff) shorten(full time.Duration) time.Duration {
	return full - time.Duration(max(b.Jitter, 0)*rand.Float64()*float64(full))
}

// loop connects, until it is told to stop.
func (c *Client) loop(ctx context.Context) {
	err := c.connections(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running, c.leaving, c.halt = false, false, nil
	if c.closed {
		return
	}
	if ctx.Err() != nil {
		err = nil
	}
	c.setLocked(StateEvent{State: Idle, Err: err})
	if c.restart {
		c.restart = false
		c.startLocked()
	}
}

// connections makes one connection after the other. It returns why there are
// to be no more.
func (c *Client) connections(ctx context.Context) error {
	var full time.Duration // the present pause without its jitter
	next := 0              // of servers
	moved := ""            // where a server sent us
	var last error
	for attempt := 1; ; attempt++ {
		server := c.servers[next%len(c.servers)]
		if moved != "" {
			server = moved
		}
		c.set(StateEvent{State: Connecting, Attempt: attempt, Server: redact(server), Err: last})
		conn, err := c.attempt(ctx, attempt, server)
		lasted := time.Duration(0)
		if err == nil {
			begun := time.Now()
			err = c.stay(ctx, conn, attempt)
			lasted = time.Since(begun)
			attempt = 0
		}
		if ctx.Err() != nil {
			return err
		}
		c.s.set.log.Info("client: not connected", "server", redact(server), "error", err)
		if errors.Is(err, errRefresh) || errors.Is(err, errReconnect) {
			last = nil
			continue
		}
		if closed := c.s.closedFor(); closed != nil {
			return closed // the store failed
		}
		last = err
		if lasted > full {
			full = 0
		}
		full = c.cfg.Backoff.next(full)
		if lasted == 0 {
			next++
		}
		moved = c.reference(err, server)
		pause, stop := c.retry(err, c.cfg.Backoff.shorten(full))
		if stop != nil {
			return stop
		}
		c.set(StateEvent{State: Pausing, Attempt: attempt, Server: redact(server), Err: err, RetryIn: pause})
		select {
		case <-ctx.Done():
			return err
		case <-c.again:
		case <-time.After(pause):
		}
	}
}

func (c *Client) retry(err error, pause time.Duration) (time.Duration, error) {
	if c.cfg.Retry != nil {
		return c.cfg.Retry(err, pause)
	}
	return DefaultRetry(err, pause)
}

func (c *Client) attempt(ctx context.Context, number int, server string) (*Conn, error) {
	a := &Attempt{Number: number, Server: server, Options: c.s.set.Options}
	if before := c.cfg.BeforeConnect; before != nil {
		if err := before(ctx, a); err != nil {
			return nil, fmt.Errorf("client: BeforeConnect: %w", err)
		}
	}
	return c.s.connect(ctx, a)
}

// stay is the life of one connection; it returns why that ended.
func (c *Client) stay(ctx context.Context, conn *Conn, attempt int) error {
	select {
	case <-c.again: // what Reconnect asked for has happened
	default:
	}
	c.set(StateEvent{State: Connected, Server: conn.info.Server, Attempt: attempt, Info: &conn.info})
	c.replies.renew(conn.info)
	var refresh <-chan time.Time
	if after := c.cfg.RefreshAfter; after > 0 {
		refresh = time.After(after - time.Duration(rand.Float64()*float64(after)/10))
	}
	select {
	case <-conn.done:
	case <-refresh:
		conn.disconnect(packet.Disconnect{}, errRefresh)
	case <-ctx.Done():
		c.mu.Lock()
		p := c.goodbye
		c.mu.Unlock()
		conn.disconnect(p, ErrClosed)
	}
	<-conn.done
	return conn.Err()
}

// reference is where the server wants us, if we follow: for good with
// ServerMoved, for the next attempt with UseAnotherServer [X5-4.11-a].
func (c *Client) reference(err error, server string) string {
	var refused *ConnectError
	var ended *DisconnectError
	code, ref := mqtt.Success, ""
	switch {
	case !c.cfg.FollowReferences:
		return ""
	case errors.As(err, &refused):
		code, ref = refused.Code, refused.ServerReference
	case errors.As(err, &ended):
		code, ref = ended.Code, ended.ServerReference
	}
	ref, _, _ = strings.Cut(strings.TrimSpace(ref), " ")
	if ref == "" || code != mqtt.UseAnotherServer && code != mqtt.ServerMoved {
		return ""
	}
	u, parseErr := url.Parse(server)
	if parseErr != nil {
		return ""
	}
	if strings.Contains(ref, "://") {
		to, err := url.Parse(ref)
		if err != nil || to.Scheme != u.Scheme {
			return "" // a server cannot talk us out of TLS
		}
		ref = to.Host
	}
	u.Host = ref
	if code == mqtt.ServerMoved {
		for i, s := range c.servers {
			if s == server {
				c.servers[i] = u.String()
			}
		}
	}
	return u.String()
}

func redact(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "?"
	}
	u.User = nil
	return u.String()
}

func (s *session) closedFor() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (c *Client) set(e StateEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setLocked(e)
}

func (c *Client) setLocked(e StateEvent) {
	if c.state == Closed {
		return
	}
	c.state, c.err = e.State, e.Err
	close(c.changed)
	c.changed = make(chan struct{})
	c.s.events.emit(e)
}

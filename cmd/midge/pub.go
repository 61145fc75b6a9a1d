package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

var pubCmd = tool("pub", `
Publishes messages.

Examples:
  midge pub -t hello -m world
  midge pub -h broker.example -p 8883 -t sensors/attic -q 1 -r -m 21.5
  midge pub -t log -l < file
  midge pub -L mqtts://joe:secret@broker.example/sensors/attic -f photo.jpg`, publish)

// A publishing is one call of pub: messages on their way, and how many.
type publishing struct {
	*toolRun
	waiting []*client.Pending
	sent    int
	failed  error
	drawn   time.Time
}

// pubWindow is how many messages may wait for the broker before pub reads on.
const pubWindow = 1000

func publish(ctx context.Context, r *toolRun) error {
	p := &publishing{toolRun: r}
	if err := p.all(ctx); err != nil {
		return err
	}
	for len(p.waiting) > 0 {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	p.progress(true)
	if err := r.c.Shutdown(ctx); err != nil {
		return err
	}
	return p.failed
}

// all sends everything there is to send.
func (p *publishing) all(ctx context.Context) error {
	if p.o.payload == 'l' {
		lines := bufio.NewReader(stdin)
		for {
			line, err := aside(ctx, p.toolRun, func() (string, error) { return lines.ReadString('\n') })
			if text, whole := strings.CutSuffix(line, "\n"); whole || text != "" {
				if err := p.send(ctx, []byte(text)); err != nil {
					return err
				}
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	payload, err := p.body(ctx)
	if err != nil {
		return err
	}
	for i := range max(p.o.repeat, 1) {
		if i > 0 && p.o.repeatDelay > 0 {
			select {
			case <-time.After(p.o.repeatDelay):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := p.send(ctx, payload); err != nil {
			return err
		}
	}
	return nil
}

// body is the payload of -f, -m, -n or -s.
func (r *toolRun) body(ctx context.Context) ([]byte, error) {
	switch o := r.o; o.payload {
	case 'm':
		return []byte(o.message), nil
	case 's':
		return aside(ctx, r, func() ([]byte, error) { return io.ReadAll(stdin) })
	case 'f':
		b, err := os.ReadFile(o.file)
		if err != nil {
			return nil, fmt.Errorf("file to send: %w", err)
		}
		return b, nil
	}
	return nil, nil
}

func (p *publishing) send(ctx context.Context, payload []byte) error {
	m := mqtt.Message{
		Topic: p.o.topics[len(p.o.topics)-1], Payload: payload, QoS: p.o.qos, Retain: p.o.retain,
		Properties: p.o.properties.message,
	}
	if len(p.waiting) >= pubWindow {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	pending, err := p.c.Enqueue(ctx, m)
	for errors.Is(err, client.ErrQueueFull) && len(p.waiting) > 0 {
		if err := p.settle(ctx); err != nil {
			return err
		}
		pending, err = p.c.Enqueue(ctx, m)
	}
	if err != nil {
		return err
	}
	if p.o.debug {
		p.say("Client sending PUBLISH (d0, q%d, r%d, m%d, '%s', ... (%d bytes))", m.QoS, retainNumber(m.Retain), pending.ID(), m.Topic, len(payload))
	}
	p.waiting = append(p.waiting, pending)
	p.progress(false)
	return nil
}

// settle waits for the oldest message. One that the broker refuses is told,
// and the rest goes on.
func (p *publishing) settle(ctx context.Context) error {
	first := p.waiting[0]
	p.waiting = p.waiting[1:]
	select {
	case <-first.Done():
	case err := <-p.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := first.Wait(ctx)
	var refused *client.ReasonError
	if errors.As(err, &refused) {
		if !p.o.quiet {
			fmt.Fprintf(p.errs, "Warning: Publish %d failed: %v.\n", first.ID(), refused.Code)
		}
		p.failed = &exitError{code: int(refused.Code)}
		err = nil
	}
	p.sent++
	p.progress(false)
	return err
}

// progress draws one line that is written over, where somebody looks at it
// and there is more than one message.
func (p *publishing) progress(last bool) {
	many := p.o.payload == 'l' || p.o.repeat > 1
	f := terminal(p.errs)
	if f == nil || !many || p.o.quiet || p.o.debug {
		return
	}
	now := time.Now()
	if !last && now.Sub(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = now
	fmt.Fprint(f, "\r\x1b[K"+p.line())
	if last {
		fmt.Fprintln(f)
	}
}

// line is how far it has come.
func (p *publishing) line() string {
	if p.o.repeat > 1 {
		return fmt.Sprintf("%d of %d messages sent", p.sent, p.o.repeat)
	}
	return fmt.Sprintf("%d messages sent", p.sent)
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

var subCmd = tool("sub", `
Subscribes and prints what comes.

Examples:
  midge sub -t 'sensors/#' -v
  midge sub -t 'sensors/+/temperature' -F '%I %t %p'
  midge sub -t jobs -C 1 -W 10
  midge sub -L mqtts://joe:secret@broker.example/# --json`, subscribe)

// A printer writes messages the way the options want them. Its handler is the
// client's only one, and so runs once at a time.
type printer struct {
	*toolRun
	format format
	count  int
	over   bool       // the last message has been printed
	err    error      // why, if not for its number
	done   chan error // says so
	width  int        // of topics, on a terminal
	color  bool
}

func newPrinter(r *toolRun) *printer {
	p := &printer{toolRun: r, done: make(chan error, 1)}
	switch {
	case r.o.format != "":
		p.format, _ = parseFormat(r.o.format)
	case r.o.json:
		p.format, _ = parseFormat("%j")
	}
	p.color = r.tty && os.Getenv("NO_COLOR") == ""
	return p
}

func subscribe(ctx context.Context, r *toolRun) error {
	o := r.o
	p := newPrinter(r)
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, errTimeout)
		defer cancel()
	}
	r.listen(p.message)
	if err := r.ask(ctx); err != nil {
		return err
	}
	if o.exitAfterSub {
		return nil
	}
	select {
	case err := <-p.done:
		return err
	case err := <-r.ended:
		return err
	case <-ctx.Done():
		var timeout *exitError
		if errors.As(context.Cause(ctx), &timeout) {
			return timeout
		}
		return nil // interrupted: the way to end it
	}
}

// ask subscribes and unsubscribes as told.
func (r *toolRun) ask(ctx context.Context) error {
	o := r.o
	var subs []client.Subscription
	for _, f := range o.topics {
		subs = append(subs, client.Subscription{
			Filter: f, QoS: o.qos, RetainAsPublished: o.asPublished, RetainHandling: o.handling, User: o.properties.subscribeUser,
		})
	}
	if len(subs) > 0 {
		codes, err := r.c.Subscribe(ctx, subs...)
		var refused *client.SubscribeError
		switch {
		case errors.As(err, &refused) && !o.quiet:
			for i, f := range refused.Filters {
				fmt.Fprintf(r.errs, "Warning: subscription to %s refused: %v\n", f, refused.Codes[i])
			}
			if len(refused.Filters) == len(codes) {
				return errors.New("all subscription requests were denied")
			}
		case err != nil && refused == nil:
			return orCause(ctx, err)
		}
	}
	if len(o.unsubscribe) > 0 {
		if _, err := r.c.UnsubscribeWith(ctx, o.properties.unsubscribeUser, o.unsubscribe...); err != nil {
			return orCause(ctx, err)
		}
	}
	return nil
}

func orCause(ctx context.Context, err error) error {
	var timeout *exitError
	if errors.As(context.Cause(ctx), &timeout) {
		return timeout
	}
	return err
}

// message deals with one message and acknowledges it. Those behind the last
// stay with the broker: for the next call, if the session outlives this one.
func (p *printer) message(m client.Message) {
	if p.over {
		return
	}
	p.take(m)
	m.Ack()
	if p.over {
		p.done <- p.err
	}
}

// take prints one message, unless an option leaves it out.
func (p *printer) take(m client.Message) {
	o := p.o
	switch {
	case o.retainedOnly && !m.Retain:
		p.finish(nil)
		return
	case o.noStale && m.Retain && !o.asPublished:
		return
	case o.sample > 0 && rand.Float64()*100 >= o.sample:
		return
	}
	if o.remove && m.Retain {
		p.c.Enqueue(context.Background(), mqtt.Message{Topic: m.Topic, QoS: mqtt.AtLeastOnce, Retain: true})
	}
	for _, f := range o.filterOut {
		if topic.Match(f, m.Topic) {
			return
		}
	}
	p.print(m)
	if p.count++; o.count > 0 && p.count >= o.count {
		p.finish(nil)
	}
}

func (p *printer) finish(err error) { p.over, p.err = true, err }

// print writes one message at once.
func (p *printer) print(m client.Message) {
	o := p.o
	show := &shown{Message: m, at: time.Now(), pretty: o.pretty}
	var b []byte
	switch {
	case p.format != nil:
		var err error
		if b, err = p.format.append(b, show); err != nil && !o.quiet {
			fmt.Fprintf(p.errs, "Error: %v\n", err)
		}
	case o.verbose:
		if len(m.Payload) == 0 && o.noEOL {
			return
		}
		b = append(p.topic(b, m.Topic), ' ')
		if len(m.Payload) == 0 {
			b = append(b, "(null)"...)
		}
		b = append(b, p.payload(m.Payload)...)
	case len(m.Payload) == 0:
		return
	default:
		b = append(b, p.payload(m.Payload)...)
	}
	if !o.noEOL {
		b = append(b, '\n')
	}
	if _, err := p.out.Write(b); err != nil {
		p.finish(err)
	}
}

// topic is in colour, and the payloads below each other, on a terminal only.
func (p *printer) topic(b []byte, name string) []byte {
	if !p.color {
		return append(b, name...)
	}
	p.width = max(p.width, min(len(name), 40))
	b = append(append(append(b, "\x1b[36m"...), name...), "\x1b[0m"...)
	return append(b, strings.Repeat(" ", max(p.width-len(name), 0))...)
}

func (p *printer) payload(b []byte) []byte {
	if !p.o.pretty || len(b) == 0 {
		return b
	}
	var out bytes.Buffer
	if indent(&out, b) != nil {
		return b
	}
	return out.Bytes()
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/topic"
)

var rrCmd = tool("rr", `
Publishes a request and prints the response. The broker has to be told where
that comes: -e, a topic of your own.

Examples:
  midge rr -t service/upper -e me/answers -m hello -W 5
  midge rr -t service/upper -e me/answers -f request.json --latency`, requestResponse)

func requestResponse(ctx context.Context, r *toolRun) error {
	o := r.o
	payload, err := r.body(ctx)
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, errTimeout)
		defer cancel()
	}
	p := newPrinter(r)
	o.count = 1
	begun := make(chan time.Time, 1)
	r.listen(func(m client.Message) {
		if !topic.Match(o.responseTopic, m.Topic) {
			return
		}
		select {
		case at := <-begun:
			begun <- at
			p.message(m)
			if o.latency && p.count > 0 {
				fmt.Fprintf(r.out, "latency: %v\n", time.Since(at))
			}
		default: // retained, from before the request
			m.Ack()
		}
	})
	if err := r.askFor(ctx, o.responseTopic); err != nil {
		return err
	}
	m := mqtt.Message{Topic: o.topics[0], Payload: payload, QoS: o.qos, Properties: o.properties.message}
	m.ResponseTopic = o.responseTopic
	begun <- time.Now()
	pending, err := r.c.Enqueue(ctx, m)
	if err != nil {
		return err
	}
	for {
		select {
		case <-pending.Done():
			if _, err := pending.Wait(ctx); err != nil {
				return err
			}
			pending = &client.Pending{} // its Done is never closed
		case err := <-p.done:
			return err
		case err := <-r.ended:
			return err
		case <-ctx.Done():
			return orCause(ctx, ctx.Err())
		}
	}
}

// askFor subscribes to the response.
func (r *toolRun) askFor(ctx context.Context, filter string) error {
	_, err := r.c.Subscribe(ctx, client.Subscription{
		Filter: filter, QoS: r.o.qos, RetainHandling: r.o.handling, RetainAsPublished: r.o.asPublished, User: r.o.properties.subscribeUser,
	})
	if err != nil {
		return orCause(ctx, err)
	}
	return nil
}

// indent is JSON over several lines; an error is no JSON.
func indent(w io.Writer, b []byte) error {
	var v json.RawMessage
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	return enc.Encode(v)
}

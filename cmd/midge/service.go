package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/internal/systemd"
	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/store"
	"github.com/midgemq/midge/transport"
)

// A service is what a manager such as systemd wants of the broker: word of how
// it is, and to serve the sockets that it hands over.
type service struct {
	*systemd.Notifier
	sockets []systemd.Socket
	serves  []int // by socket: the listener of the configuration that is about it
	log     *slog.Logger
}

func newService(log *slog.Logger) (*service, error) {
	n, err := systemd.NewNotifier(os.Getenv)
	if err != nil {
		return nil, err
	}
	sockets, err := systemd.Sockets(os.Getenv)
	return &service{Notifier: n, sockets: sockets, log: log}, err
}

// tell logs that the manager could not be told.
func (s *service) tell(err error) {
	if err != nil {
		s.log.Warn("the service manager does not listen", "error", err)
	}
}

// reading says how far the start is, and that it goes on.
func (s *service) reading(read, of int64) {
	s.tell(s.Status(progressLine("reading", read, of)))
	s.tell(s.Extend(startMargin))
}

// startMargin is what the manager is asked for at every step of the start.
const startMargin = time.Minute

// namedKinds are the names of sockets that say what is spoken there.
var namedKinds = []string{"tls", "ws", "wss"}

// socketURL is where a socket that was handed over is bound, and what is spoken
// there: its name says tcp, tls, ws or wss; any other name is plain MQTT.
func socketURL(k *systemd.Socket, wsPath string) string {
	addr := k.Listener.Addr()
	kind := addr.Network()
	if slices.Contains(namedKinds, k.Name) {
		kind = k.Name
	}
	u := url.URL{Scheme: kind, Host: addr.String()}
	switch kind {
	case "unix":
		u.Host, u.Path = "", addr.String()
	case "ws", "wss":
		u.Path = wsPath
	}
	return u.String()
}

// serveSockets has b serve what was handed over, each as the listener of the
// configuration that is about its address.
func (s *service) serveSockets(b *midge.Broker, ds *doors) error {
	for i := range s.sockets {
		k, d := &s.sockets[i], ds.all[s.serves[i]]
		l := d.rules.Load().listener
		opt := ds.options(d)
		opt.OnError = func(err error) { s.log.Info("listener", "url", l.URL, "error", err) }
		err := ds.bound(config.Place(socketURL(k, "/")), d)
		var ln transport.Listener
		if err == nil {
			ln, err = transport.NewListener(k.Listener, l.URL, opt)
		}
		if err == nil {
			err = b.Serve(ln)
		}
		if err != nil {
			return fmt.Errorf("the socket %s: %w", k.Name, err)
		}
	}
	return nil
}

// watch tells the manager how b is until ctx ends.
func (s *service) watch(ctx context.Context, b *midge.Broker, st store.Store) {
	if s.Notifier == nil {
		return
	}
	p, err := newProbe(b)
	if err != nil { // the broker is closed
		return
	}
	defer p.stop()
	every := 10 * time.Second
	if w := s.Watchdog(); w > 0 {
		every = w / 2
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.beat(ctx, p, every/2, st)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// beat looks after the broker once. Of one that does not answer nothing is
// said: the manager ends it, with a stack of everything.
func (s *service) beat(ctx context.Context, p *probe, patience time.Duration, st store.Store) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	clients, err := p.ask(ctx)
	if errors.Is(err, context.Canceled) {
		return
	}
	if err != nil {
		s.log.Error("the broker does not answer itself", "within", patience)
		s.tell(s.Status("the broker does not answer itself"))
		return
	}
	text := count(clients, "client") + " connected"
	if st != nil && st.Err() != nil {
		text += "; " + st.Err().Error()
	}
	s.tell(s.Status(text))
	if s.Watchdog() > 0 {
		s.tell(s.Alive())
	}
}

// A probe finds out whether a broker still works: it sends itself a message
// through it, and asks after every connection, which takes each one's locks.
type probe struct {
	b     *midge.Broker
	stop  func()
	heard chan struct{}
	asked chan int // one question at a time; holds the clients of the last
}

const probeTopic = "$midge/alive"

func newProbe(b *midge.Broker) (*probe, error) {
	p := &probe{b: b, heard: make(chan struct{}, 1), asked: make(chan int, 1)}
	var err error
	p.stop, err = b.Subscribe(probeTopic, mqtt.AtMostOnce, func(mqtt.Message) {
		select {
		case p.heard <- struct{}{}:
		default:
		}
	})
	p.asked <- 0
	return p, err
}

// ask returns how many clients are connected, or ctx's error.
func (p *probe) ask(ctx context.Context) (clients int, err error) {
	select {
	case <-p.asked:
	case <-ctx.Done(): // the last question has not come back
		return 0, ctx.Err()
	}
	go func() {
		p.b.Publish(mqtt.Message{Topic: probeTopic}) // an error is silence
		p.asked <- len(p.b.Clients())
	}()
	select {
	case <-p.heard:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case clients = <-p.asked:
		p.asked <- clients
		return clients, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

package midge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/midgemq/midge/mqtt"
)

// Hooks are a program's own code inside the broker. Every field may be nil.
//
// A hook runs in the goroutine of the connection it is about: it may block
// and delays no other client. What it may take is what its context says:
//
//   - Accept, Authenticate and, before CONNACK, Enhanced end with
//     Config.ConnectTimeout.
//   - Publish, Subscribe, Connected and re-authentication end when the broker ends the
//     connection: a take-over, Disconnect, Close. Nobody reads the socket
//     meanwhile, so a client that hangs up is noticed when the hook returns.
//   - Publish about a will, and Disconnected, have five seconds. They come when
//     the client has gone, from its own goroutine, a timer's, its successor's
//     or Close's, and the client's next connection waits for them. One that
//     ignores its context for ConnectTimeout has that connection refused.
//
// A hook that panics is contained, logged, and counts as a refusal.
//
// A hook refuses by returning an error. A [*Refusal] chooses the reason code
// the client sees, or "unspecified error" where the packet that answers may
// not carry that code; any other error becomes "not authorized". Refusals are
// told to the client as far as its version can, and logged.
type Hooks struct {
	// Accept is asked about a connection before a byte of it is read, one of a
	// WebSocket listener when it has been upgraded. clients is how many are
	// connected now. An error closes it at once.
	Accept func(ctx context.Context, r Remote, clients int) error

	// Closed is told of the end of every connection that Accept let in, whatever
	// became of it. It may not block.
	Closed func(r Remote)

	// Authenticate is asked about a CONNECT. Without it everyone is let in.
	// It may set c's Username, Access and Until. It is not asked when CONNECT
	// names a method that Enhanced runs.
	Authenticate func(ctx context.Context, c *Connect) error

	// Enhanced runs enhanced authentication (5.0, 4.12): it returns the
	// exchange for a method, or nil for a method it does not know. It is
	// called again for each re-authentication. The exchange may set c's Username,
	// Access and Until; of these, a re-authentication only Until.
	Enhanced func(ctx context.Context, c *Connect, method string) Exchange

	// Connected and Disconnected frame every session's time online, one time
	// after the other. Disconnected's reason is mqtt.Success for a client that
	// said goodbye.
	Connected    func(ctx context.Context, c ClientInfo)
	Disconnected func(ctx context.Context, c ClientInfo, reason mqtt.ReasonCode)

	// Publish is asked about every message a client publishes, and about
	// every will, before anyone gets it. m is valid during the call only.
	Publish func(ctx context.Context, c ClientInfo, m *mqtt.Message) error

	// Subscribe is asked about every filter. It may lower the QoS granted.
	Subscribe func(ctx context.Context, c ClientInfo, s *Subscription) error
}

// A Connect is what a client says of itself, for Hooks.Authenticate. Its byte
// slices are valid during the call only.
type Connect struct {
	Remote
	Version     mqtt.Version
	ClientID    string
	Assigned    bool // the client named none, and ClientID is the server's making
	Username    string
	HasUsername bool
	Password    []byte // nil without one
	CleanStart  bool
	KeepAlive   uint16 // seconds
	Properties  []mqtt.UserProperty

	// What authentication found out.

	Access Access    // what the client may do; nil: everything
	Until  time.Time // when the connection ends at the latest; zero: never
}

// A Subscription is what a client asks to be sent.
type Subscription struct {
	Filter            string // with $share/group/ in front if it is shared
	QoS               mqtt.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	ID                uint32 // Subscription Identifier; 0: none
}

// An Exchange is one run of an enhanced authentication method.
type Exchange interface {
	// Step takes the client's data and returns the server's. With done true
	// the client is who it says; otherwise it is asked for more.
	Step(ctx context.Context, data []byte) (reply []byte, done bool, err error)
}

// A Refusal is an error that says which reason code, and which words, the
// client gets.
type Refusal struct {
	Code   mqtt.ReasonCode // a failure
	Reason string          // goes to 5.0 clients; "" is none
	Said   bool            // the log knows already: the broker says it at debug level alone
}

func (r *Refusal) Error() string {
	if r.Reason == "" {
		return r.Code.String()
	}
	return r.Code.String() + ": " + r.Reason
}

// refusalOf turns a hook's error into what the peer is told.
func refusalOf(err error) *Refusal {
	var r *Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &r) && r.Code.Failed():
		return r
	}
	return &Refusal{Code: mqtt.NotAuthorized}
}

// levelOf is where the log hears of a refusal.
func levelOf(err error) slog.Level {
	var r *Refusal
	if errors.As(err, &r) && r.Said {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// contain calls a hook and makes an error of its panic.
func (b *Broker) contain(name string, hook func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.log.Error("hook panicked", "hook", name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("hook %s panicked: %w", name, &Refusal{Code: mqtt.UnspecifiedError})
		}
	}()
	return hook()
}

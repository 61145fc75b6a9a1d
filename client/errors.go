package client

import (
	"errors"
	"fmt"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
)

// What became of a call. Match them with errors.Is.
var (
	ErrClosed       = errors.New("client: closed")
	ErrNotConnected = errors.New("client: not connected")
	ErrQueueFull    = errors.New("client: the outbox is full")
	ErrExpired      = errors.New("client: the message expired before it was sent")
	ErrCancelled    = errors.New("client: the message was cancelled before it was sent")
	ErrSessionLost  = errors.New("client: the server lost the session and with it the outcome")
	ErrStaleAck     = errors.New("client: the connection this message came by has ended; the server sends it again")
	ErrTooLarge     = errors.New("client: the server takes no packet that large")
	ErrUnsupported  = errors.New("client: the server does not offer this")
	ErrStore        = errors.New("client: the store failed")

	// ErrNotSent and ErrUnacknowledged tell what a call that was given up
	// left behind: nothing; or a message that is on its way, stays in the
	// outbox and may yet arrive.
	ErrNotSent         = errors.New("client: given up before it was sent")
	ErrUnacknowledged  = errors.New("client: given up before it was acknowledged")
	errPartAck         = errors.New("client: a part is no message; acknowledge the last")
	errNoPingresp      = errors.New("client: the server has fallen silent")
	errRefresh         = errors.New("client: planned renewal of the connection")
	errReconnect       = errors.New("client: connection renewed by Reconnect")
	errUnsolicitedAuth = &packet.Error{Code: mqtt.ProtocolError, Text: "AUTH that nothing asked for"}
)

// A ConnectError is a server's refusal to let the client in: its CONNACK.
type ConnectError struct {
	Code            mqtt.ReasonCode // older return codes are translated
	Return          mqtt.ReturnCode // before 5.0
	Reason          string
	ServerReference string // where to go instead, with UseAnotherServer and ServerMoved
	User            []mqtt.UserProperty
}

func (e *ConnectError) Error() string {
	return withReason("client: the server refused the connection: "+e.Code.String(), e.Reason)
}

// A DisconnectError is the DISCONNECT by which a 5.0 server ended the
// connection.
type DisconnectError struct {
	Code            mqtt.ReasonCode
	Reason          string
	ServerReference string
	User            []mqtt.UserProperty
}

func (e *DisconnectError) Error() string {
	return withReason("client: the server ended the connection: "+e.Code.String(), e.Reason)
}

// A ReasonError is an acknowledgement that says no.
type ReasonError struct {
	Packet packet.Type // PUBACK, PUBREC, PUBCOMP
	Code   mqtt.ReasonCode
	Reason string
	User   []mqtt.UserProperty
}

func (e *ReasonError) Error() string {
	return withReason(fmt.Sprintf("client: %v: %v", e.Packet, e.Code), e.Reason)
}

// A SubscribeError lists the filters a server refused.
type SubscribeError struct {
	Packet  packet.Type // SUBACK or UNSUBACK
	Filters []string
	Codes   []mqtt.ReasonCode // for each of Filters
	Reason  string
}

func (e *SubscribeError) Error() string {
	return withReason(fmt.Sprintf("client: %v: %q: %v", e.Packet, e.Filters[0], e.Codes[0]), e.Reason)
}

func withReason(text, reason string) string {
	if reason != "" {
		text += ": " + reason
	}
	return text
}

// returnCodes translates what older servers answer.
var returnCodes = [...]mqtt.ReasonCode{
	mqtt.RefusedVersion:       mqtt.UnsupportedProtocolVersion,
	mqtt.RefusedIdentifier:    mqtt.ClientIdentifierNotValid,
	mqtt.RefusedUnavailable:   mqtt.ServerUnavailable,
	mqtt.RefusedCredentials:   mqtt.BadUserNameOrPassword,
	mqtt.RefusedNotAuthorized: mqtt.NotAuthorized,
}

func connectError(p *packet.Connack, v mqtt.Version) *ConnectError {
	e := &ConnectError{Code: p.Code, Return: p.Return}
	if v != mqtt.V5 {
		e.Code = mqtt.UnspecifiedError
		if int(p.Return) < len(returnCodes) {
			e.Code = returnCodes[p.Return]
		}
		return e
	}
	e.Reason = string(p.Properties.ReasonString)
	e.ServerReference = string(p.Properties.ServerReference)
	e.User = users(p.Properties)
	return e
}

func disconnectError(p *packet.Disconnect) *DisconnectError {
	return &DisconnectError{
		Code: p.Code, Reason: string(p.Properties.ReasonString),
		ServerReference: string(p.Properties.ServerReference), User: users(p.Properties),
	}
}

func users(p *packet.Properties) (out []mqtt.UserProperty) {
	if p == nil {
		return nil
	}
	for name, value := range p.Users.All() {
		out = append(out, mqtt.UserProperty{Name: string(name), Value: string(value)})
	}
	return out
}

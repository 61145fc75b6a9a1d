package packet

import "github.com/midgemq/midge/mqtt"

// An Error is a peer's fault: bytes the standard forbids. Errors are
// predeclared values, so refusing a packet costs no allocation.
type Error struct {
	Code mqtt.ReasonCode // what a 5.0 receiver answers with before it closes
	Text string          // what is wrong, for logs and Reason Strings
}

func (e *Error) Error() string { return e.Text }

func malformed(text string) *Error { return &Error{mqtt.MalformedPacket, text} }
func protocol(text string) *Error  { return &Error{mqtt.ProtocolError, text} }

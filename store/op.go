package store

import "github.com/midgemq/midge/mqtt"

// A SessionID numbers sessions. Its user gives every session a new one, beyond
// what Store.Last says; 0 is none.
type SessionID uint64

// A MessageID numbers messages in the same way.
type MessageID uint64

// PacketID is MQTT's.
type PacketID = mqtt.PacketID

// A Kind is what an Op does.
type Kind byte

// The changes. In brackets, the fields of Op each needs. One that names a
// session or an entry that is not there does nothing.
const (
	PutSession      Kind = iota + 1 // creates or replaces the session's own facts, not its content [Put]
	EndSession                      // forgets a session and all it has [Session]
	PutSubscription                 // [Session Subscription]
	EndSubscription                 // [Session Filter]

	// PutMessage begins a message: it is kept until Commit, whoever refers to
	// it. [Message Body]
	PutMessage
	// Queue puts a message in line for a session, or straight into flight if it
	// has a PacketID. [Session Entry; of Entry, MessageID instead of Message]
	Queue
	// Commit ends the routing of a message (0: of none). From here on it is kept
	// as long as somebody refers to it, and the entries made for it count: a
	// store that finds none after a failure drops them. In the same breath the
	// session holds the QoS 2 identifier PacketID, is through with the message at
	// Seq, each if that is not 0, and, with WillSaid, has its will no more.
	// [Message Session PacketID Seq WillSaid]
	Commit
	// Advance tells how far a message has come: Sent under PacketID, or
	// Released, which lets go of the message itself. [Session Seq Stage PacketID]
	Advance
	Done    // the message is through, or dropped [Session Seq]
	Release // the QoS 2 identifier is not held any more [Session PacketID]

	Retain   // a message becomes its topic's retained one, committed or not [Message Filter]
	Unretain // [Filter]
)

// An Op is one change.
type Op struct {
	Kind         Kind
	Session      SessionID
	Message      MessageID
	Seq          uint64
	PacketID     PacketID
	Stage        Stage
	WillSaid     bool
	Filter       string // or topic
	Put          *Session
	Body         *Message
	Subscription *Subscription
	Entry        *Entry
}

// A Session is what a session is, apart from its content.
type Session struct {
	ID     SessionID
	Client string
	Expiry uint32 // Session Expiry Interval, seconds
	Away   int64  // since when the client is, Unix ns; 0: it is connected
	Will   *Will  // not said yet
}

// A Will is what is still to be said for a client.
type Will struct {
	Body     Message
	Delay    uint32 // seconds from Away
	Username string // of who left it
	Version  mqtt.Version
}

// A Message is one application message.
type Message struct {
	Topic, Payload []byte
	Properties     []byte // as the broker encodes them
	Origin         string // client identifier of the publisher
	Arrived        int64  // Unix ns
	Expiry         uint32 // seconds, if Expires
	Expires        bool
	QoS            mqtt.QoS
	Retain         bool
}

// Size is about what the message takes, in bytes.
func (m *Message) Size() int { return len(m.Topic) + len(m.Payload) + len(m.Properties) + overhead }

// overhead is about what goes with each message.
const overhead = 160

// A Subscription is one of a session's.
type Subscription struct {
	Filter            string // $share and all
	QoS               mqtt.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	ID                uint32 // Subscription Identifier; 0: none

	// Retained messages numbered beyond Sent, and up to Owed, are still to be
	// sent, in this order.
	Sent, Owed MessageID
}

// A Stage is how far a queued message has come.
type Stage byte

// The stages of an Entry.
const (
	Queued   Stage = iota
	Sent           // PUBLISH is, or may be, with the client
	Released       // QoS 2: PUBREC has come, PUBREL is due
)

// An Entry is one message in line for one session.
type Entry struct {
	Seq       uint64 // its place in the session, ascending
	MessageID MessageID
	Message   *Message // what Load and Exchanges return; nil once Released
	QoS       mqtt.QoS
	Retain    bool
	Stage     Stage
	PacketID  PacketID
	IDs       []uint32 // Subscription Identifiers
	Share     string   // the shared subscription that chose the session
}

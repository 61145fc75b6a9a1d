package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// A format is a -F string, taken apart: Mosquitto's small language.
type format []piece

// A piece is text, a %X of the message or an @X of the time.
type piece struct {
	text        string // as it is; kind 0
	kind        byte   // '%' or '@'
	verb        byte
	left, zero  bool
	width, prec int // prec -1: none
	sep         byte
}

const (
	percentVerbs = "%ACDEFIJPRSUXdfjlmpqrtx"
	atVerbs      = "aAbBcCdDeFgGHIjklmMnNprRsStTuUVwWxXyYzZ@%"
)

var escapes = map[byte]byte{'\\': '\\', '0': 0, 'a': 7, 'e': 27, 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

// parseFormat refuses what mosquitto_sub refuses, in the same words.
func parseFormat(s string) (f format, err error) {
	var text []byte
	flush := func() {
		if len(text) > 0 {
			f, text = append(f, piece{text: string(text)}), nil
		}
	}
	for len(s) > 0 {
		c := s[0]
		s = s[1:]
		switch c {
		case '\\':
			if s == "" {
				return nil, bad("Incomplete escape specifier.")
			}
			to, ok := escapes[s[0]]
			if !ok {
				return nil, bad("Invalid escape specifier '%c'.", s[0])
			}
			text, s = append(text, to), s[1:]
		case '%', '@':
			p := piece{kind: c, prec: -1}
			if c == '%' {
				s = p.flags(s)
			}
			if s == "" {
				return nil, bad("Incomplete format specifier.")
			}
			if p.verb = s[0]; !p.known() {
				return nil, bad("Invalid format specifier '%c'.", p.verb)
			}
			s = s[1:]
			flush()
			f = append(f, p)
		default:
			text = append(text, c)
		}
	}
	flush()
	return f, nil
}

func (p *piece) known() bool {
	if p.kind == '@' {
		return strings.IndexByte(atVerbs, p.verb) >= 0
	}
	return strings.IndexByte(percentVerbs, p.verb) >= 0
}

// flags reads [-][0][width][.precision][separator].
func (p *piece) flags(s string) string {
	if strings.HasPrefix(s, "-") {
		p.left, s = true, s[1:]
	}
	if strings.HasPrefix(s, "0") {
		p.zero, s = true, s[1:]
	}
	digits := func() (n int) {
		for ; s != "" && s[0] >= '0' && s[0] <= '9'; s = s[1:] {
			n = min(10*n+int(s[0]-'0'), 10_000)
		}
		return n
	}
	p.width = digits()
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		p.prec = digits()
	}
	if len(s) > 1 && s[0] != '%' && s[0] > ' ' && s[0] < 0x7F && !letterOrDigit(s[0]) && (s[1] == 'x' || s[1] == 'X') {
		p.sep, s = s[0], s[1:]
	}
	return s
}

func letterOrDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// A shown is a message on its way to the output.
type shown struct {
	client.Message
	at     time.Time
	pretty bool
}

// errNotJSON is about one message: the output goes on.
type errNotJSON struct{ topic string }

func (e *errNotJSON) Error() string {
	return "Message payload is not valid JSON on topic " + e.topic + "."
}

// append writes the message; an error leaves a hole where it was.
func (f format) append(b []byte, m *shown) ([]byte, error) {
	var first error
	for _, p := range f {
		switch p.kind {
		case 0:
			b = append(b, p.text...)
		case '@':
			b = append(b, strftime(p.verb, m.at)...)
		default:
			text, number, err := p.value(m)
			if err != nil && first == nil {
				first = err
			}
			b = p.pad(b, text, number)
		}
	}
	return b, first
}

// value is what a verb stands for.
func (p *piece) value(m *shown) (text []byte, number bool, err error) {
	text = m.Payload
	switch p.verb {
	case '%':
		text = []byte("%")
	case 'p':
	case 't':
		text = []byte(m.Topic)
	case 'x', 'X':
		text = p.hex(m.Payload)
	case 'I':
		text = m.at.AppendFormat(nil, "2006-01-02T15:04:05-0700")
	case 'U':
		text = fmt.Appendf(nil, "%d.%09d", m.at.Unix(), m.at.Nanosecond())
	case 'j', 'J':
		text, err = m.json(p.verb == 'J')
	case 'f', 'd':
		return p.float(m.Payload), true, nil
	case 'C', 'D', 'P', 'R':
		text = textProperty(p.verb, &m.Properties)
	default:
		return p.number(m), true, nil
	}
	if p.prec >= 0 && p.verb != 'x' && p.verb != 'X' {
		text = text[:min(p.prec, len(text))]
	}
	return text, false, err
}

func textProperty(verb byte, p *mqtt.Properties) []byte {
	switch verb {
	case 'C':
		return []byte(p.ContentType)
	case 'D':
		return p.CorrelationData
	case 'R':
		return []byte(p.ResponseTopic)
	}
	var b []byte
	for i, u := range p.User {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(append(b, u.Name...), ':'), u.Value...)
	}
	return b
}

func (p *piece) number(m *shown) []byte {
	n := 0
	switch p.verb {
	case 'l':
		n = len(m.Payload)
	case 'q':
		n = int(m.QoS)
	case 'r':
		if m.Retain {
			n = 1
		}
	case 'm':
		n = int(m.ID())
	case 'E':
		if !m.HasExpiry {
			return nil
		}
		n = int(m.MessageExpiry)
	case 'F':
		if !m.PayloadUTF8 {
			return nil
		}
		n = 1
	case 'S':
		if len(m.SubscriptionIDs) == 0 {
			return nil
		}
		n = int(m.SubscriptionIDs[0])
	case 'A':
		return nil // resolved by the client, and no more of it to be seen
	}
	return strconv.AppendInt(nil, int64(n), 10)
}

func (p *piece) hex(b []byte) []byte {
	if p.prec >= 0 {
		b = b[:min(p.prec, len(b))]
	}
	out := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 && p.sep != 0 {
			out = append(out, p.sep)
		}
		out = hex.AppendEncode(out, []byte{c})
	}
	if p.verb == 'X' {
		out = bytes.ToUpper(out)
	}
	return out
}

func (p *piece) float(b []byte) []byte {
	var v float64
	switch {
	case p.verb == 'f' && len(b) == 4:
		v = float64(math.Float32frombits(binary.NativeEndian.Uint32(b)))
	case p.verb == 'd' && len(b) == 8:
		v = math.Float64frombits(binary.NativeEndian.Uint64(b))
	default:
		return nil
	}
	prec := p.prec
	if prec < 0 {
		prec = 6
	}
	return strconv.AppendFloat(nil, v, 'f', prec, 64)
}

// pad brings text to its width. Numbers that are not there stay empty.
func (p *piece) pad(b, text []byte, number bool) []byte {
	missing := p.width - len(text)
	if missing <= 0 || number && len(text) == 0 {
		return append(b, text...)
	}
	fill := byte(' ')
	if p.zero && !p.left {
		fill = '0'
	}
	if p.left {
		b = append(b, text...)
	}
	b = append(b, bytes.Repeat([]byte{fill}, missing)...)
	if !p.left {
		b = append(b, text...)
	}
	return b
}

// json is the message as %j and %J have it, keys in Mosquitto's order.
func (m *shown) json(embed bool) ([]byte, error) {
	b := fmt.Appendf(nil, `{"tst":%q`, m.at.Format("2006-01-02T15:04:05.000000Z-0700"))
	b = fmt.Appendf(b, `,"topic":%s,"qos":%d,"retain":%d,"payloadlen":%d`, quote(m.Topic), m.QoS, retainNumber(m.Retain), len(m.Payload))
	if m.QoS > 0 {
		b = fmt.Appendf(b, `,"mid":%d`, m.ID())
	}
	b = append(b, m.jsonProperties()...)
	b = append(b, `,"payload":`...)
	switch {
	case len(m.Payload) == 0:
		b = append(b, "null"...)
	case !embed:
		b = append(b, quote(string(m.Payload))...)
	case !json.Valid(m.Payload):
		return nil, &errNotJSON{m.Topic}
	default:
		var compact bytes.Buffer
		json.Compact(&compact, m.Payload)
		b = append(b, compact.Bytes()...)
	}
	b = append(b, '}')
	if !m.pretty {
		return b, nil
	}
	var out bytes.Buffer
	err := json.Indent(&out, b, "", "\t")
	return out.Bytes(), err
}

func retainNumber(r bool) int {
	if r {
		return 1
	}
	return 0
}

// jsonProperties is ,"properties":{...}, or nothing.
func (m *shown) jsonProperties() []byte {
	var b []byte
	put := func(name, value string) { b = fmt.Appendf(b, `,%q:%s`, name, value) }
	p := &m.Properties
	if p.PayloadUTF8 {
		put("payload-format-indicator", "1")
	}
	if p.HasExpiry {
		put("message-expiry-interval", strconv.Itoa(int(p.MessageExpiry)))
	}
	if p.ContentType != "" {
		put("content-type", quote(p.ContentType))
	}
	if p.ResponseTopic != "" {
		put("response-topic", quote(p.ResponseTopic))
	}
	if p.CorrelationData != nil {
		put("correlation-data", quote(string(p.CorrelationData)))
	}
	for _, id := range p.SubscriptionIDs {
		put("subscription-identifier", strconv.Itoa(int(id)))
	}
	if len(p.User) > 0 {
		var users []byte
		for _, u := range p.User {
			users = fmt.Appendf(users, `,%s:%s`, quote(u.Name), quote(u.Value))
		}
		put("user-properties", "{"+string(users[1:])+"}")
	}
	if len(b) == 0 {
		return nil
	}
	return fmt.Appendf(nil, `,"properties":{%s}`, b[1:])
}

// quote is a JSON string, HTML left alone. What is no UTF-8 becomes U+FFFD.
func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// layouts are strftime's conversions that Go's time has a layout for.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'r': "03:04:05 PM",
	'R': "15:04", 'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func strftime(verb byte, t time.Time) string {
	if layout, ok := layouts[verb]; ok {
		return t.Format(layout)
	}
	year, week := t.ISOWeek()
	n, day := 0, int(t.Weekday())
	switch verb {
	case '@', '%':
		return string(verb)
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'N':
		return fmt.Sprintf("%09d", t.Nanosecond())
	case 's':
		return strconv.FormatInt(t.Unix(), 10)
	case 'G':
		return strconv.Itoa(year)
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1)
	case 'u':
		return strconv.Itoa((day+6)%7 + 1)
	case 'w':
		return strconv.Itoa(day)
	case 'C':
		n = t.Year() / 100
	case 'g':
		n = year % 100
	case 'V':
		n = week
	case 'U':
		n = (t.YearDay() + 6 - day) / 7
	case 'W':
		n = (t.YearDay() + 6 - (day+6)%7) / 7
	}
	return fmt.Sprintf("%02d", n)
}

package trace_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/mqtt"
	"github.com/midgemq/midge/packet"
	"github.com/midgemq/midge/trace"
)

type appender interface {
	Append(dst []byte, v mqtt.Version) []byte
}

// connected is a packet of its own kind.
type connected struct{ *packet.Connect }

func (c connected) Append(dst []byte, _ mqtt.Version) []byte { return c.Connect.Append(dst) }

type ping packet.Type

func (p ping) Append(dst []byte, _ mqtt.Version) []byte {
	return packet.AppendHeader(dst, packet.Type(p), 0, 0)
}

type auth struct{ *packet.Auth }

func (a auth) Append(dst []byte, v mqtt.Version) []byte { return a.Auth.Append(dst, v) }

func TestDescribe(t *testing.T) {
	props := func(f func(*packet.Properties)) *packet.Properties {
		p := new(packet.Properties)
		f(p)
		return p
	}
	secret := []byte("s3cret")
	for _, c := range []struct {
		v    mqtt.Version
		p    appender
		want string
	}{
		{mqtt.V5, connected{&packet.Connect{
			Version: mqtt.V5, ClientID: []byte("a"), HasUsername: true, Username: []byte("joe"), HasPassword: true, Password: secret,
			KeepAlive: 60, CleanStart: true, HasWill: true, Will: packet.Will{Topic: []byte("w"), Payload: []byte("gone"), QoS: 1},
			Properties: props(func(p *packet.Properties) {
				p.Users = p.Users.Add("token", "s3cret")
				p.AuthenticationMethod, p.AuthenticationData = []byte("SCRAM"), secret
			}),
		}}, `{"client":"a","user":"joe","packet":"CONNECT","qos":1,"topic":"w","bytes":4,"detail":"MQTT 5.0, keep alive 60s, clean start, with a password, with a will"}`},
		{mqtt.V5, &packet.Connack{SessionPresent: true, Properties: props(func(p *packet.Properties) { p.AssignedClientIdentifier = []byte("x") })}, `{"packet":"CONNACK","code":0,"reason":"success","detail":"session present, assigned x"}`},
		{mqtt.V311, &packet.Connack{Return: 5}, `{"packet":"CONNACK","code":5,"reason":"not authorized"}`},
		{mqtt.V5, &packet.Publish{Topic: []byte("t"), Payload: []byte("größer"), QoS: 2, ID: 7, Dup: true, Retain: true, Properties: props(func(p *packet.Properties) {
			p.TopicAlias, p.MessageExpiryInterval, p.ResponseTopic = 3, 9, []byte("r")
			p.Present = p.Present.With(packet.PropMessageExpiryInterval)
		})}, `{"packet":"PUBLISH","id":7,"qos":2,"retain":true,"dup":true,"alias":3,"topic":"t","bytes":8,"payload":"gr","detail":"expires in 9s, answer to r"}`},
		{mqtt.V31, &packet.Publish{Topic: []byte("t"), Payload: []byte("a\x00bcd")}, `{"packet":"PUBLISH","topic":"t","bytes":5,"payload":"hex:610062"}`},
		{mqtt.V5, &packet.Ack{Type: packet.PUBACK, ID: 1, Code: mqtt.QuotaExceeded, Properties: props(func(p *packet.Properties) { p.ReasonString = []byte("full") })}, `{"packet":"PUBACK","id":1,"code":151,"reason":"quota exceeded","detail":"full"}`},
		{mqtt.V311, &packet.Ack{Type: packet.PUBREL, ID: 1}, `{"packet":"PUBREL","id":1}`},
		{mqtt.V5, &packet.Subscribe{ID: 2, Filters: packet.Filters(nil).Add(packet.Subscription{Filter: []byte("a/#"), QoS: 1}).Add(packet.Subscription{Filter: []byte("b")})}, `{"packet":"SUBSCRIBE","id":2,"qos":1,"filters":["a/#","b"]}`},
		{mqtt.V5, &packet.Suback{Type: packet.SUBACK, ID: 2, Codes: []byte{1, 0x87}}, `{"packet":"SUBACK","id":2,"codes":["QoS 1","not authorized"]}`},
		{mqtt.V311, &packet.Suback{Type: packet.SUBACK, ID: 2, Codes: []byte{0x80}}, `{"packet":"SUBACK","id":2,"codes":["failure"]}`},
		{mqtt.V5, &packet.Unsubscribe{ID: 3, Filters: packet.TopicFilters(nil).Add("a")}, `{"packet":"UNSUBSCRIBE","id":3,"filters":["a"]}`},
		{mqtt.V5, &packet.Suback{Type: packet.UNSUBACK, ID: 3, Codes: []byte{0x11}}, `{"packet":"UNSUBACK","id":3,"codes":["no subscription existed"]}`},
		{mqtt.V5, &packet.Disconnect{Code: mqtt.SessionTakenOver}, `{"packet":"DISCONNECT","code":142,"reason":"session taken over"}`},
		{mqtt.V5, auth{&packet.Auth{Code: mqtt.ContinueAuthentication, Properties: props(func(p *packet.Properties) {
			p.AuthenticationMethod, p.AuthenticationData = []byte("SCRAM"), secret
		})}}, `{"packet":"AUTH","code":24,"reason":"continue authentication","detail":"SCRAM"}`},
		{mqtt.V5, ping(packet.PINGREQ), `{"packet":"PINGREQ"}`},
	} {
		raw := c.p.Append(nil, c.v)
		e, ok := trace.Describe(c.v, raw, 3)
		if !ok || e.Size != len(raw) {
			t.Errorf("%s: %v, %d bytes of %d", c.want, ok, e.Size, len(raw))
		}
		e.Size = 0
		got, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(strings.Replace(string(got), `"time":"0001-01-01T00:00:00Z",`, "", 1), `"event":"",`, "", 1)
		if text != c.want {
			t.Errorf("got  %s\nwant %s", text, c.want)
		}
		if strings.Contains(text, "s3cret") {
			t.Error("a credential is in the trace")
		}
		if _, ok := trace.Describe(c.v, raw[:len(raw)-1], 3); ok {
			t.Errorf("%s: half of it is described", c.want)
		}
	}
}

func TestLogValue(t *testing.T) {
	var out bytes.Buffer
	e := trace.Event{
		Time: time.Unix(0, 0), Kind: trace.Lost, Client: "a", User: "u", Remote: "r", Packet: "PUBLISH", ID: 1, Size: 2, Topic: "t",
		Retain: true, Dup: true, Alias: 3, Filters: []string{"f"}, Codes: []string{"c"}, Bytes: 4, Payload: "p", To: "b",
		Fate: trace.Full.String(), Detail: "d", Count: 5,
	}
	e.Say(mqtt.QuotaExceeded)
	slog.New(slog.NewTextHandler(&out, nil)).Info("trace", "", e)
	want := `event=lost client=a user=u remote=r packet=PUBLISH id=1 size=2 qos=0 retain=true dup=true alias=3 topic=t filters=f codes=c bytes=4 payload=p to=b fate="queue full" reason="quota exceeded" detail=d count=5` + "\n"
	if _, got, _ := strings.Cut(out.String(), "msg=trace "); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestFates(t *testing.T) {
	for f := trace.Sent; f <= trace.Superseded; f++ {
		if f.String() == "" || f.Lost() != (f != trace.Sent && f != trace.Queued) {
			t.Errorf("%d is %q, lost %v", f, f, f.Lost())
		}
	}
}

package auth

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// accessOf is what the broker has of each client, by identifier.
func (h *house) accessOf() map[string]any {
	all := map[string]any{}
	h.b.Reauthorize(nil)
	for _, c := range h.b.Clients() {
		all[c.ClientID] = c.Access
	}
	return all
}

// Those who came as nobody share one Access, until a policy tells them apart:
// those who are away, and their wills, too.
func TestCrowdIsToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, Policy{Anonymous: AnonymousAlways})
		come := func(id string, will *client.Will) *client.Conn {
			return h.in(client.Options{ClientID: id, SessionExpiry: time.Hour, Will: will})
		}
		a, b, away := come("a", nil), come("b", nil), come("away", nil)
		come("named", nil)
		late := come("late", &client.Will{Message: mqtt.Message{Topic: "own/a"}})
		h.in(client.Options{ClientID: "eve", Username: "eve"})
		all := h.accessOf()
		if _, shared := all["a"].(midge.SharedAccess); !shared || all["a"] != all["b"] || all["eve"] == all["a"] {
			t.Errorf("they have %v", all)
		}
		away.Subscribe(t.Context(), client.Subscription{Filter: "own/#", QoS: 1})
		away.Close()
		synctest.Wait()

		h.g.Apply(h.b, Policy{Anonymous: AnonymousAlways, ACL: parse(t, "allow readwrite own/%c")})
		if all := h.accessOf(); all["a"] == all["b"] {
			t.Error("rules do not set them apart")
		}
		for _, topic := range []string{"own/a", "own/away"} {
			if err := h.b.Publish(mqtt.Message{Topic: topic, QoS: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if c, _ := h.b.Client("away"); c.Queued != 1 {
			t.Errorf("%d messages wait, want the one it may have", c.Queued)
		}
		for topic, allowed := range map[string]bool{"own/a": true, "own/b": false} {
			if _, err := a.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1}); (err == nil) != allowed {
				t.Errorf("a says %s: %v", topic, err)
			}
		}
		late.Disconnect(client.Goodbye{Code: mqtt.DisconnectWithWill})
		synctest.Wait()
		if n := h.b.Stats().Denied.Wills; n != 1 {
			t.Errorf("%d wills refused, want that of another's topic", n)
		}

		h.g.Apply(h.b, Policy{Anonymous: AnonymousNever})
		<-a.Done()
		<-b.Done()
	})
}

// One who comes in while the policy changes is one of no crowd of the old one.
func TestCrowdIsOfItsPolicy(t *testing.T) {
	g := New(Policy{Anonymous: AnonymousAlways})
	c := &midge.Connect{ClientID: "x", Remote: midge.Remote{Listener: "tcp://here"}, HasUsername: true} // that is empty
	if err := g.authenticate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if c.HasUsername {
		t.Error("it has a name")
	}
	shared := c.Access.(midge.SharedAccess)
	if shared.For("x", c.Remote) != c.Access {
		t.Error("nothing has changed")
	}
	g.policy.Store(&Policy{Anonymous: AnonymousNever})
	for _, r := range []midge.Remote{c.Remote, {}} {
		if a := shared.For("x", r); a.MayPublish([]byte("t")) || a.MayReceive([]byte("t")) || a.MaySubscribe("t") {
			t.Error("the next policy lets nobody in, and who is in may go on")
		}
	}
}

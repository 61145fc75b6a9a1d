package interop

import (
	"fmt"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// pahoClient connects a client that hands what it gets to the channel.
func pahoClient(t *testing.T, url, id string, clean bool, set func(*paho.ClientOptions)) (paho.Client, chan string) {
	t.Helper()
	got := make(chan string, 100)
	o := paho.NewClientOptions().AddBroker(url).SetClientID(id).SetCleanSession(clean).SetAutoReconnect(false)
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
		got <- fmt.Sprintf("%s=%s q%d r%v", m.Topic(), m.Payload(), m.Qos(), m.Retained())
	})
	if set != nil {
		set(o)
	}
	c := paho.NewClient(o)
	done(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c, got
}

func done(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("paho waits for an answer")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

func wantPaho(t *testing.T, got chan string, want string) {
	t.Helper()
	select {
	case m := <-got:
		if m != want {
			t.Errorf("got %q, want %q", m, want)
		}
	case <-time.After(patience):
		t.Errorf("%q never came", want)
	}
}

func TestPaho(t *testing.T) {
	b := serve(t, "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0")
	for _, url := range []string{"tcp://" + b.at["tcp"], b.at["ws"]} {
		pub, _ := pahoClient(t, url, "pub", true, nil)
		sub, got := pahoClient(t, url, "sub", true, nil)
		done(t, sub.Subscribe("p/#", 2, nil))
		for q := range byte(3) {
			done(t, pub.Publish("p/t", q, false, fmt.Sprint("x", q)))
			wantPaho(t, got, fmt.Sprintf("p/t=x%d q%d rfalse", q, q))
		}
		done(t, pub.Publish("p/kept", 1, true, "kept"))
		wantPaho(t, got, "p/kept=kept q1 rfalse")
		late, heard := pahoClient(t, url, "late", true, nil)
		done(t, late.Subscribe("p/kept", 1, nil))
		wantPaho(t, heard, "p/kept=kept q1 rtrue")
		done(t, pub.Publish("p/kept", 1, true, ""))
		late.Disconnect(0)
	}
}

// A session that was left comes back with what waited for it, in order.
func TestPahoResume(t *testing.T) {
	b := serve(t, "--tcp", "127.0.0.1:0")
	url := "tcp://" + b.at["tcp"]
	first, _ := pahoClient(t, url, "resumer", false, nil)
	done(t, first.Subscribe("r", 2, nil))
	first.Disconnect(10)
	pub, _ := pahoClient(t, url, "pub", true, nil)
	for i := range 50 {
		done(t, pub.Publish("r", byte(1+i%2), false, fmt.Sprint(i)))
	}
	_, got := pahoClient(t, url, "resumer", false, nil)
	for i := range 50 {
		wantPaho(t, got, fmt.Sprintf("r=%d q%d rfalse", i, 1+i%2))
	}
}

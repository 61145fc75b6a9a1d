package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/auth"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A desk answers requests without a network, so that time can be fake.
type desk func(ctx context.Context, q Request) (status int, body string, err error)

func (d desk) RoundTrip(r *http.Request) (*http.Response, error) {
	var q Request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return nil, err
	}
	status, body, err := d(r.Context(), q)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: io.NopCloser(strings.NewReader(body))}, nil
}

func open(t *testing.T, c Config, d desk) *Service {
	t.Helper()
	c.URL, c.Client = "http://desk/login", &http.Client{Transport: d}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func login(user, password string) *midge.Connect {
	return &midge.Connect{
		Username: user, HasUsername: true, Password: []byte(password), ClientID: "c",
		Remote: midge.Remote{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}},
	}
}

func code(err error) mqtt.ReasonCode {
	if r := (*midge.Refusal)(nil); errors.As(err, &r) {
		return r.Code
	}
	return 0
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		status  int
		body    string
		code    mqtt.ReasonCode // 0: let in
		notMine bool
	}{
		{200, `{"result":"allow"}`, 0, false},
		{200, `{"result":"allow","unknown":1}`, 0, false},
		{200, `{"result":"deny","reason":"late"}`, mqtt.BadUserNameOrPassword, false},
		{200, `{"result":"ignore"}`, 0, true},
		{204, ``, 0, true},
		{401, `whatever`, mqtt.BadUserNameOrPassword, false},
		{403, ``, mqtt.BadUserNameOrPassword, false},
		{200, ``, mqtt.ServerUnavailable, false},
		{200, `{}`, mqtt.ServerUnavailable, false},
		{200, `{"result":"yes"}`, mqtt.ServerUnavailable, false},
		{200, `{"result":"allow"}` + strings.Repeat(" ", maxAnswer), mqtt.ServerUnavailable, false},
		{302, `{"result":"allow"}`, mqtt.ServerUnavailable, false},
		{500, `{"result":"allow"}`, mqtt.ServerUnavailable, false},
		{404, ``, mqtt.ServerUnavailable, false},
	} {
		d := desk(func(context.Context, Request) (int, string, error) { return c.status, c.body, nil })
		id, err := open(t, Config{}, d).Authenticate(t.Context(), login("alice", "x"))
		if code(err) != c.code || errors.Is(err, auth.ErrNotMine) != c.notMine || (err == nil) != (id != nil && id.User == "alice") {
			t.Errorf("%d %.40s: %+v, %v", c.status, c.body, id, err)
		}
		_, err = open(t, Config{WhenDown: AskNext}, d).Authenticate(t.Context(), login("alice", "x"))
		if down := c.code == mqtt.ServerUnavailable; errors.Is(err, auth.ErrNotMine) != (down || c.notMine) {
			t.Errorf("%d %.40s: %v", c.status, c.body, err)
		}
	}
}

// The service learns who asks; what it says of the client counts.
func TestRequestAndResponse(t *testing.T) {
	var got Request
	end := time.Now().Add(time.Hour).Unix()
	s := open(t, Config{}, func(_ context.Context, q Request) (int, string, error) {
		got = q
		return 200, fmt.Sprintf(`{"result":"allow","user":"Alice","groups":["g"],"publish":["a/%%u"],"subscribe":[],"expires_at":%d}`, end), nil
	})
	c := login("alice", "p\xff")
	c.Version, c.Listener, c.Transport = mqtt.V5, "tcp://:1883", "tcp"
	id, err := s.Authenticate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	want := Request{Username: "alice", Password: "p\ufffd", ClientID: "c", Address: "192.0.2.1:1", Listener: "tcp://:1883", Transport: "tcp", Protocol: "5.0"}
	if got != want {
		t.Errorf("%+v", got)
	}
	if id.User != "Alice" || len(id.Groups) != 1 || id.Until.Unix() != end || id.Permissions.Publish[0] != "a/%u" || id.Permissions.Subscribe == nil {
		t.Errorf("%+v %+v", id, id.Permissions)
	}
	if s.Stays(id) != nil || !errors.Is(s.Stays(&auth.Identity{}), auth.ErrNotMine) {
		t.Error("stays")
	}
	if _, err := s.Authenticate(t.Context(), &midge.Connect{}); !errors.Is(err, auth.ErrNotMine) {
		t.Error(err)
	}
}

// One question is asked once, however many wait for the answer, and again when
// the answer is old.
func TestRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		s := open(t, Config{}, func(_ context.Context, q Request) (int, string, error) {
			asked.Add(1)
			<-time.After(time.Second)
			if q.Password != "right" {
				return 401, "", nil
			}
			return 200, `{"result":"allow"}`, nil
		})
		want := func(n int32, user, password string, in bool) {
			t.Helper()
			if _, err := s.Authenticate(t.Context(), login(user, password)); (err == nil) != in || asked.Load() != n {
				t.Errorf("%v, asked %d times, want %d", err, asked.Load(), n)
			}
		}
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { want(1, "alice", "right", true) })
		}
		all.Wait()
		want(1, "alice", "right", true)
		want(2, "alice", "wrong", false)
		want(2, "alice", "wrong", false)
		want(3, "bob", "right", true)
		<-time.After(11 * time.Second)
		want(4, "alice", "wrong", false)
		want(4, "alice", "right", true)
		<-time.After(time.Minute)
		want(5, "alice", "right", true)
		s.Forget()
		want(6, "alice", "right", true)
	})
}

// A service that does not answer keeps nobody waiting for longer than it may,
// and those who are remembered not at all.
func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var most, now atomic.Int32
		s := open(t, Config{Timeout: 2 * time.Second, MaxInFlight: 3, MaxWaiting: 4}, func(ctx context.Context, _ Request) (int, string, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			if down.Load() {
				<-ctx.Done()
				return 0, "", ctx.Err()
			}
			return 200, `{"result":"allow"}`, nil
		})
		if _, err := s.Authenticate(t.Context(), login("alice", "x")); err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		start := time.Now()
		var all sync.WaitGroup
		var count [2]atomic.Int32
		for i := range 20 {
			all.Go(func() {
				c := login(fmt.Sprint(i), "x")
				c.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, byte(i)), Port: 1}
				_, err := s.Authenticate(t.Context(), c)
				switch code(err) {
				case mqtt.ServerUnavailable:
					count[0].Add(1)
				case mqtt.ServerBusy:
					count[1].Add(1)
				default:
					t.Error(err)
				}
			})
		}
		if _, err := s.Authenticate(t.Context(), login("alice", "x")); err != nil {
			t.Error(err)
		}
		all.Wait()
		if took := time.Since(start); took != 2*time.Second || most.Load() != 3 || count[0].Load() != 7 || count[1].Load() != 13 {
			t.Errorf("took %v, %d at once, %d waited, %d were too many", took, most.Load(), count[0].Load(), count[1].Load())
		}
		down.Store(false)
		if _, err := s.Authenticate(t.Context(), login("1", "x")); err != nil {
			t.Error("an outage was remembered:", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Authenticate(ctx, login("2", "x")); err != nil && code(err) != mqtt.ServerUnavailable {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// One address that asks without end leaves room for others.
func TestOneAddressDelaysItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		s := open(t, Config{MaxInFlight: 1, MaxWaiting: 16}, func(ctx context.Context, q Request) (int, string, error) {
			<-answer
			return 200, `{"result":"allow"}`, nil
		})
		var all sync.WaitGroup
		var busy atomic.Int32
		ask := func(i int, from byte) {
			all.Go(func() {
				c := login(fmt.Sprint(i), "x")
				c.Addr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, from), Port: 1}
				if _, err := s.Authenticate(t.Context(), c); code(err) == mqtt.ServerBusy {
					busy.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		for i := range 20 {
			ask(i, 1)
		}
		if n := busy.Load(); n != 17 { // one is asked about, two wait
			t.Errorf("%d were too many", n)
		}
		ask(20, 2)
		close(answer)
		all.Wait()
		if n := busy.Load(); n != 17 {
			t.Errorf("another address was told to come later")
		}
	})
}

// What an answer says of its own end holds for what is remembered of it.
func TestRemembersNoLongerThanTheAnswerLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := open(t, Config{}, func(context.Context, Request) (int, string, error) {
			asked++
			return 200, fmt.Sprintf(`{"result":"allow","expires_at":%d}`, time.Now().Add(2*time.Second).Unix()), nil
		})
		for range 2 {
			if id, err := s.Authenticate(t.Context(), login("alice", "x")); err != nil || !id.Until.After(time.Now()) {
				t.Errorf("%+v, %v", id, err)
			}
			<-time.After(3 * time.Second)
		}
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// A list that is there allows what is in it, and nothing if it is null; without
// lists the policy decides.
func TestNullAllowsNothing(t *testing.T) {
	for text, decided := range map[string]bool{
		`{"result":"allow"}`:                               false,
		`{"result":"allow","publish":null}`:                true,
		`{"result":"allow","subscribe":null,"groups":[]}`:  true,
		`{"result":"allow","subscribe":[],"publish":null}`: true,
	} {
		s := open(t, Config{}, func(context.Context, Request) (int, string, error) { return 200, text, nil })
		id, err := s.Authenticate(t.Context(), login("alice", "x"))
		if err != nil || (id.Permissions != nil) != decided {
			t.Errorf("%s: %+v, %v", text, id, err)
		}
	}
	own, err := json.Marshal(Response{Result: "allow"})
	if err != nil || bytes.Contains(own, []byte("publish")) {
		t.Errorf("%s, %v", own, err)
	}
}

// Failures push out failures.
func TestFailuresPushOutOneAnother(t *testing.T) {
	c := newCache(1000)
	now := time.Now()
	k := func(i int) key { return c.key(&Request{Username: fmt.Sprint(i)}, nil) }
	for i := range 200 {
		c.put(k(i), Response{Result: "allow"}, now, time.Minute)
	}
	for i := range 20000 {
		c.put(k(1000+i), Response{Result: "deny"}, now, time.Minute)
	}
	kept := 0
	for i := range 200 {
		if _, ok := c.get(k(i), now); ok {
			kept++
		}
	}
	if kept != 200 || len(c.bad) != 800 {
		t.Errorf("%d of 200 who may come in are remembered, and %d failures", kept, len(c.bad))
	}
}

// An error of the line does not tell the token in the URL.
func TestErrorsKeepTheURL(t *testing.T) {
	down := desk(func(context.Context, Request) (int, string, error) { return 0, "", errors.New("no route") })
	s, err := Open(Config{URL: "http://u:hidden@h/?key=hidden", Client: &http.Client{Transport: down}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), login("alice", "x")); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
	if _, err := Open(Config{URL: "ftp://u:hidden@h/"}); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(100)
	now := time.Now()
	k := func(i int) key { return c.key(&Request{Username: fmt.Sprint(i)}, nil) }
	for i := range 1000 {
		c.put(k(i), Response{Result: "allow"}, now, time.Minute)
	}
	if _, ok := c.get(k(999), now); !ok || len(c.good) != 100 {
		t.Error(ok, len(c.good))
	}
	if _, ok := c.get(k(999), now.Add(time.Minute)); ok || len(c.good) != 99 {
		t.Error(ok, len(c.good))
	}
	c.put(k(1), Response{}, now, -1)
	if len(c.good) != 99 {
		t.Error("off is on")
	}
	if c.key(&Request{}, nil) == c.key(&Request{}, []byte{}) || c.key(&Request{Address: "h:1"}, nil) != c.key(&Request{Address: "h:2"}, nil) ||
		c.key(&Request{Address: "h:1"}, nil) == c.key(&Request{Address: "i:1"}, nil) || newCache(1).key(&Request{}, nil) == c.key(&Request{}, nil) {
		t.Error("keys")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []Config{
		{},
		{URL: "ftp://x/"},
		{URL: "http:///x"},
		{URL: ":"},
		{URL: "http://x", MaxCached: -1},
		{URL: "http://x", MaxInFlight: 20000},
		{URL: "http://x", MaxWaiting: -1},
		{URL: "http://x", Timeout: -1},
	} {
		if _, err := Open(c); err == nil {
			t.Errorf("%+v", c)
		}
	}
}

// Over sockets: a broker, a client, and a small service.
func TestRealService(t *testing.T) {
	var bodies bytes.Buffer
	var mu sync.Mutex
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies.Write(data)
		mu.Unlock()
		switch {
		case r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer broker" || r.Header.Get("Content-Type") != "application/json":
			http.Error(w, "no", http.StatusBadRequest)
		case bytes.Contains(data, []byte(`"password":"right"`)):
			fmt.Fprint(w, `{"result":"allow","publish":["up/%u"],"subscribe":["down/%u/#"]}`)
		case bytes.Contains(data, []byte(`"username":"moved"`)):
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer service.Close()
	s, err := Open(Config{URL: service.URL + "/login", Header: http.Header{"Authorization": {"Bearer broker"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	guard := auth.New(auth.Policy{Authenticators: []auth.Authenticator{s}, Anonymous: auth.AnonymousNever})
	cfg := midge.Config{Listeners: []midge.Listener{{URL: "tcp://127.0.0.1:0"}}, Logger: slog.New(slog.DiscardHandler)}
	guard.Install(&cfg.Hooks)
	b, err := midge.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	at := "mqtt" + strings.TrimPrefix(b.Addrs()[0], "tcp")

	c, err := client.Dial(t.Context(), at, client.Options{Username: "alice", Password: []byte("right")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for topic, want := range map[string]string{"up/alice": "", "up/bob": "not authorized", "down/alice/x": "not authorized"} {
		if _, err := c.Publish(t.Context(), mqtt.Message{Topic: topic, QoS: 1}); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", topic, err)
		}
	}
	for filter, want := range map[string]string{"down/alice/+": "", "#": "not authorized", "down/#": "not authorized"} {
		if _, err := c.Subscribe(t.Context(), client.Subscription{Filter: filter}); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", filter, err)
		}
	}
	for user, want := range map[string]mqtt.ReasonCode{"alice": mqtt.BadUserNameOrPassword, "moved": mqtt.ServerUnavailable} {
		if _, err := client.Dial(t.Context(), at, client.Options{Username: user, Password: []byte("wrong")}); err == nil || !strings.Contains(err.Error(), want.String()) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if gone := guard.Apply(b, guard.Policy()); len(gone) != 0 {
		t.Errorf("%+v", gone)
	}
	if gone := guard.Apply(b, auth.Policy{Anonymous: auth.AnonymousAlways}); len(gone) != 1 {
		t.Errorf("%+v", gone)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(bodies.String(), `"protocol":"5.0"`) {
		t.Error(bodies.String())
	}
}

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/auth/scram"
	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// configured runs midge with a configuration, and returns it and its URL.
func configured(t *testing.T, dir, text string) (*broker, string) {
	t.Helper()
	conf := filepath.Join(dir, "midge.toml")
	text = "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nallow_anonymous = false\n" + text
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := serve(t, "-c", conf)
	return b, "mqtt://" + b.at["tcp"]
}

// comeIn has mosquitto_pub come in, say something and leave, and returns its
// exit code: 0, or the reason code of CONNACK.
func comeIn(t *testing.T, url, user, password string) int {
	t.Helper()
	host, port, _ := strings.Cut(strings.TrimPrefix(url, "mqtt://"), ":")
	_, code := try(t, need(t, "mosquitto_pub", "apt-get install mosquitto-clients"), "-V", "5", "-h", host, "-p", port,
		"-i", user+"-device", "-u", user, "-P", password, "-q", "1", "-t", "home/"+user+"/x", "-m", "x")
	return code
}

// tried holds what alice may do, whoever said so: home/alice/# and home/#.
func tried(t *testing.T, url, password string) {
	t.Helper()
	v := visit(t, url, "alice", "alice-phone", func(o *client.Options) { o.Password = []byte(password) })
	v.subscribe("home/#")
	for topic, want := range map[string]string{"home/alice/lamp": "taken", "home/bob/lamp": "denied", "other": "denied"} {
		if got := v.say(topic, false); got != want {
			t.Errorf("alice says %s: %s", topic, got)
		}
	}
	if _, err := v.c.Subscribe(t.Context(), client.Subscription{Filter: "#"}); err == nil {
		t.Error("alice may subscribe to everything")
	}
}

// Tokens of another maker, PyJWT, serve as passwords; those with anything wrong
// about them do not.
func TestTokensOfPyJWT(t *testing.T) {
	python := need(t, "/usr/bin/python3", "apt-get install python3")
	if exec.Command(python, "-c", "import jwt, cryptography").Run() != nil {
		missing(t, "Python has no PyJWT: apt-get install python3-jwt python3-cryptography")
	}
	dir := t.TempDir()
	tokens := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(run(t, python, "testdata/tokens.py", dir)), "\n") {
		name, token, _ := strings.Cut(line, " ")
		tokens[name] = token
	}
	_, url := configured(t, dir, `
[jwt]
algorithms = ["RS256", "ES256", "EdDSA"]
key_files  = ["jwks.json", "ec.pem"]
issuer     = "https://login.test"
audience   = "mqtt"
leeway     = "1ms"
`)
	brief, err := client.Dial(t.Context(), url, client.Options{Username: "alice", Password: []byte(tokens["brief"]), ClientID: "brief"})
	if err != nil {
		t.Fatal(err)
	}
	defer brief.Close()
	bad := 0
	for name, token := range tokens {
		code := comeIn(t, url, "alice", token)
		if strings.HasPrefix(name, "bad") {
			bad++
			if code != int(mqtt.BadUserNameOrPassword) && code != int(mqtt.NotAuthorized) {
				t.Errorf("%s: mosquitto_pub exits with %d", name, code)
			}
		} else if name != "brief" && code != 0 {
			t.Errorf("%s: mosquitto_pub exits with %d", name, code)
		}
	}
	if bad != 10 || len(tokens) != bad+4 {
		t.Errorf("%d tokens, %d of them bad", len(tokens), bad)
	}
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		tried(t, url, tokens[algorithm])
	}
	select {
	case <-brief.Done(): // its token has ended
	case <-time.After(patience):
		t.Error("a session outlives its token")
	}
}

// A service in a process of its own is asked who may come in, and nobody comes
// in while it is silent, broken or gone but who is remembered.
func TestServiceOverHTTP(t *testing.T) {
	python := need(t, "python3", "apt-get install python3")
	service := start(t, python, "testdata/accounts.py")
	_, port, _ := strings.Cut(service.want("port "), "port ")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("a token of sixteen bytes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, url := configured(t, dir, `
[http]
url        = "http://127.0.0.1:`+port+`/mqtt"
token_file = "token"
timeout    = "1s"
`)
	if code := comeIn(t, url, "alice", "alice!"); code != 0 {
		t.Errorf("alice: mosquitto_pub exits with %d", code)
	}
	if line := service.want("asked alice"); line != "asked alice 5.0 alice-device Bearer a token of sixteen bytes" {
		t.Error(line)
	}
	tried(t, url, "alice!")
	const wrong, down = int(mqtt.BadUserNameOrPassword), int(mqtt.ServerUnavailable)
	for _, c := range []struct {
		user, password string
		code           int
	}{
		{"bob", "guess", wrong}, {"shut", "shut!", wrong}, {"unknown", "unknown!", wrong}, {"slow", "slow!", down}, {"broken", "broken!", down},
	} {
		if code := comeIn(t, url, c.user, c.password); code != c.code {
			t.Errorf("%s: mosquitto_pub exits with %d, want %d", c.user, code, c.code)
		}
		service.want("asked " + c.user)
	}
	die(service)
	if code := comeIn(t, url, "carol", "carol!"); code != down {
		t.Errorf("carol, with nobody to ask: mosquitto_pub exits with %d, want %d", code, down)
	}
	if code := comeIn(t, url, "alice", "alice!"); code != 0 {
		t.Errorf("alice is not remembered: mosquitto_pub exits with %d", code)
	}
}

// SCRAM-SHA-256 with MQTT.js, by a script written from the RFCs, and with this
// project's client; each knows that the server knows the password.
func TestScramPeers(t *testing.T) {
	node, module := mqttjs(t)
	dir := t.TempDir()
	for i, user := range []string{"esp", "a=b,c"} {
		args := []string{"passwd", "-b", "-H", "scram-sha-256", filepath.Join(dir, "users"), user, user + "!"}
		if i == 0 {
			args = append([]string{"passwd", "-c"}, args[1:]...)
		}
		run(t, binary, args...)
	}
	_, url := configured(t, dir, "[auth]\npassword_file = \"users\"\n")
	for _, user := range []string{"esp", "a=b,c"} {
		if out, code := try(t, node, "testdata/scram.cjs", module, url, user, user+"!"); code != 0 || !strings.Contains(out, "in\nok") {
			t.Errorf("MQTT.js as %s: exit %d\n%s", user, code, out)
		}
		c, err := client.Dial(t.Context(), url, client.Options{ClientID: user, Auth: scram.NewClient(user, user+"!")})
		if err != nil {
			t.Errorf("%s: %v", user, err)
			continue
		}
		if err := c.Reauthenticate(t.Context()); err != nil {
			t.Errorf("%s, again: %v", user, err)
		}
		c.Close()
	}
	refused := "refused " + strconv.Itoa(int(mqtt.BadUserNameOrPassword))
	for _, user := range []string{"esp", "nobody"} {
		if out, code := try(t, node, "testdata/scram.cjs", module, url, user, "guess"); code != 1 || !strings.Contains(out, refused) {
			t.Errorf("MQTT.js as %s, guessing: exit %d\n%s", user, code, out)
		}
		if c, err := client.Dial(t.Context(), url, client.Options{ClientID: user, Auth: scram.NewClient(user, "guess")}); err == nil {
			c.Close()
			t.Errorf("%s came in by a guess", user)
		}
	}
}

package interop

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/midgemq/midge/client"
	"github.com/midgemq/midge/mqtt"
)

// oneConf is a mosquitto.conf for both brokers: a plain and a TLS listener for
// the users of a password file, one for client certificates, one for anybody.
func oneConf(t *testing.T, c certs, passwords, acl string) (conf string, at map[string]string) {
	t.Helper()
	acl, err := filepath.Abs(acl)
	if err != nil {
		t.Fatal(err)
	}
	at = map[string]string{}
	text := "per_listener_settings true\nuser root\npersistence false\nmax_queued_messages 5000\nlog_dest stderr\nlog_type all\n"
	for _, l := range []struct{ name, settings string }{
		{"users", "allow_anonymous true\npassword_file " + passwords + "\nacl_file " + acl + "\n"},
		{"tls", fmt.Sprintf("allow_anonymous true\npassword_file %s\nacl_file %s\ncertfile %s\nkeyfile %s\ntls_version tlsv1.2\n", passwords, acl, c.server, c.serverKey)},
		{"certs", fmt.Sprintf("acl_file %s\ncafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\nuse_identity_as_username true\n", acl, c.ca, c.server, c.serverKey)},
		{"closed", "password_file " + passwords + "\nmax_connections 2\nallow_zero_length_clientid false\n"},
		{"open", "allow_anonymous true\n"},
	} {
		addr := freeAddress(t)
		_, port, _ := net.SplitHostPort(addr)
		text += "\nlistener " + port + " 127.0.0.1\n" + l.settings
		at[l.name] = "mqtt://" + addr
		if strings.Contains(l.settings, "certfile") {
			at[l.name] = "mqtts://localhost:" + port
		}
	}
	conf = filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return conf, at
}

// doorstep notes who comes in, at each listener, and who does not.
func doorstep(t *testing.T, c certs, at map[string]string) map[string]string {
	t.Helper()
	all := map[string]string{}
	papers := map[string]*client.TLS{
		"no certificate": {CAFile: c.ca},
		"certificate":    {CAFile: c.ca, CertFile: c.client, KeyFile: c.clientKey},
		"stranger":       {CAFile: c.ca, CertFile: c.stranger, KeyFile: c.strangerKey},
	}
	for name, url := range at {
		for paper, tls := range papers {
			if secure := strings.HasPrefix(url, "mqtts"); !secure && paper != "no certificate" {
				continue
			} else if !secure {
				tls = nil
			}
			for _, who := range []struct{ user, password string }{{"", ""}, {"alice", "alice!"}, {"alice", "wrong"}, {"alice", ""}, {"nobody", "x"}, {"bob", "bob!"}} {
				for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
					o := client.Options{ClientID: "d", Version: v, CleanStart: true, SessionExpiry: -1, Username: who.user, TLS: tls}
					if who.password != "" {
						o.Password = []byte(who.password)
					}
					all[fmt.Sprintf("%s, %s, %s/%s, %v", name, paper, who.user, who.password, v)] = knock(t, url, o)
				}
			}
		}
	}
	for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
		o := client.Options{Version: v, CleanStart: true, SessionExpiry: -1, Username: "alice", Password: []byte("alice!")}
		all[fmt.Sprintf("closed, no identifier, %v", v)] = knock(t, at["closed"], o)
		all[fmt.Sprintf("open, no identifier, %v", v)] = knock(t, at["open"], o)
	}
	return all
}

// knock says whether somebody is let in: of refusals, whether the broker or the
// handshake refuses does not matter.
func knock(t *testing.T, url string, o client.Options) string {
	t.Helper()
	c, err := client.Dial(t.Context(), url, o)
	if err != nil {
		return "refused"
	}
	defer c.Close()
	// TLS 1.3 tells a client of a certificate that is refused only later.
	if _, err := c.Publish(t.Context(), mqtt.Message{Topic: "door", QoS: 1}); err != nil && !strings.Contains(err.Error(), mqtt.NotAuthorized.String()) {
		return "refused"
	}
	return "in"
}

// One mosquitto.conf, with TLS, five listeners, password and ACL file, is run
// by both brokers, and the same comes of it: for who comes in, and for all
// that they do then.
func TestConfLikeMosquitto(t *testing.T) {
	passwords, acl := accessFiles(t)
	c := makeCerts(t)
	results := map[string]map[string]string{}
	for _, name := range []string{"mosquitto", "midge"} {
		conf, at := oneConf(t, c, passwords, acl)
		if name == "midge" {
			start(t, binary, "serve", "--mosquitto-conf", conf).want("listens on")
		} else {
			start(t, need(t, "mosquitto", "apt-get install mosquitto"), "-c", conf).want("running")
		}
		all := doorstep(t, c, at)
		for where, with := range map[string]func(*client.Options){
			"users": func(*client.Options) {},
			"tls":   func(o *client.Options) { o.TLS = &client.TLS{CAFile: c.ca} },
		} {
			for k, v := range outcomes(t, at[where], with) {
				all[where+": "+k] = v
			}
		}
		results[name] = all
	}
	in, through := 0, 0
	for k, want := range results["mosquitto"] {
		if got := results["midge"][k]; got != want {
			t.Errorf("%s: %s, Mosquitto: %s", k, got, want)
		}
		switch {
		case want == "in":
			in++
		case want != "refused" && !strings.HasSuffix(want, "[]"):
			through++
		}
	}
	all := len(results["mosquitto"])
	t.Logf("%d outcomes compared: %d came in, %d let something through", all, in, through)
	if all != len(results["midge"]) || in < 20 || through < 60 {
		t.Errorf("%d and %d outcomes, %d came in, %d let something through", all, len(results["midge"]), in, through)
	}
}

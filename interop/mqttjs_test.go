package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mqttjs returns node and the folder of MQTT.js, which scripts/deps.sh
// installs.
func mqttjs(t *testing.T) (node, module string) {
	t.Helper()
	node = need(t, "node", "apt-get install nodejs")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	module = filepath.Join(cache, "midge-interop", "node_modules", "mqtt")
	if _, err := os.Stat(module); err != nil {
		missing(t, "MQTT.js not found: CI=true ./scripts/deps.sh installs it")
	}
	return node, module
}

func TestMQTTjs(t *testing.T) {
	node, module := mqttjs(t)
	c := makeCerts(t)
	b := serve(t, "--ws", "127.0.0.1:0", "--wss", "127.0.0.1:0", "--cert", c.server, "--key", c.serverKey)
	for _, scheme := range []string{"ws", "wss"} {
		for _, version := range []string{"3", "4", "5"} {
			t.Run(scheme+" "+version, func(t *testing.T) {
				out := run(t, node, "testdata/mqttjs.cjs", module, b.at[scheme], version, c.ca)
				if !strings.Contains(out, "ok") {
					t.Errorf("MQTT.js says %s", out)
				}
			})
		}
	}
}

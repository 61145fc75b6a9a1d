package conform

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

var update = flag.Bool("update", false, "rewrite docs/conformance.md")

const documentPath = "../docs/conformance.md"

// TestLedgerDocument holds docs/conformance.md to the ledgers and the checks,
// and the checks to the share of statements they have to prove.
func TestLedgerDocument(t *testing.T) {
	c, err := cover("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range c.Problems() {
		t.Error(p)
	}
	for _, part := range documentParts {
		n := c.Count(func(s Statement) bool { return part.holds(s) && s.BindsServer() })
		t.Logf("%s: %d of %d statements that bind a server, %.1f %%", part.title, n.Proven, n.All, n.Percent())
		if n.Percent() < 97 {
			t.Errorf("%s: want 97 %% proven", part.title)
		}
	}
	var want bytes.Buffer
	if err := c.WriteMarkdown(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(documentPath, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(documentPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/conformance.md is stale: run go test ./conform -update")
	}
}

func TestKeysIn(t *testing.T) {
	text := "// [MQTT-3.1.2-24, 5.0] and [MQTT-3.1.0-2, MQTT-4.8.0-1, 3.1.1], [X5-3.3.4-e] but not [MQTT-1.5.3-1] or MQTT-1.5.3-2, 5.0"
	want := []Key{{mqtt.V5, "MQTT-3.1.2-24"}, {mqtt.V311, "MQTT-3.1.0-2"}, {mqtt.V311, "MQTT-4.8.0-1"}, {mqtt.V5, "X5-3.3.4-e"}}
	if got := keysIn(text); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

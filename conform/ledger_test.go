package conform

import (
	"strings"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

func TestLedger(t *testing.T) {
	seen := make(map[Key]bool)
	count := make(map[string]int)
	for _, s := range Ledger() {
		if seen[s.Key()] {
			t.Errorf("%s is in the ledger twice", s.Key())
		}
		seen[s.Key()] = true
		name := s.Version.String()
		if !s.Numbered() {
			name = "unnumbered"
		}
		count[name]++
		if s.Who != "server" && s.Who != "client" && s.Who != "both" {
			t.Errorf("%s binds %q", s.Key(), s.Who)
		}
		if s.Text == "" || s.Section == "" || s.Level == "" {
			t.Errorf("%s has empty columns", s.Key())
		}
	}
	for name, want := range map[string]int{"3.1.1": 141, "5.0": 251, "unnumbered": 109} {
		if count[name] != want {
			t.Errorf("%s: %d statements, want %d", name, count[name], want)
		}
	}
}

// The same identifier stands for different statements in different versions.
func TestLedgerKeys(t *testing.T) {
	texts := make(map[Key]string)
	for _, s := range Ledger() {
		texts[s.Key()] = s.Text
	}
	old := texts[Key{mqtt.V311, "MQTT-3.1.2-24"}]
	now := texts[Key{mqtt.V5, "MQTT-3.1.2-24"}]
	if !strings.Contains(old, "Keep Alive") || !strings.Contains(now, "Maximum Packet Size") {
		t.Errorf("3.1.1: %q, 5.0: %q", old, now)
	}
}

package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// No name that a client may have is more than text to a terminal.
func TestJSONForTerminals(t *testing.T) {
	const name = "a\u009b31m\u007f\x1b[2J<é\U0001F99F"
	var b strings.Builder
	if err := jsonTo(&b).Encode(name); err != nil {
		t.Fatal(err)
	}
	if want := `"a\u009b31m\u007f\u001b[2J<é🦟"` + "\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	var back string
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back != name {
		t.Errorf("%q %v", back, err)
	}
}

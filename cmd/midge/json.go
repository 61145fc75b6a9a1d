package main

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// jsonTo is an encoder of JSON that a terminal can take, too: clients choose
// names, and JSON itself leaves controls above 0x7E as they are.
func jsonTo(out io.Writer) *json.Encoder {
	e := json.NewEncoder(controlless{out})
	e.SetEscapeHTML(false)
	return e
}

// printJSON prints one value for people, too.
func printJSON(out io.Writer, v any) error {
	e := jsonTo(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// controlless escapes them. An Encoder writes a value at once.
type controlless struct{ io.Writer }

func (w controlless) Write(p []byte) (int, error) {
	safe := make([]byte, 0, len(p))
	for rest := p; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r >= 0x7F && r <= 0x9F {
			safe = fmt.Appendf(safe, `\u%04x`, r)
		} else {
			safe = append(safe, rest[:n]...)
		}
		rest = rest[n:]
	}
	if _, err := w.Writer.Write(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}

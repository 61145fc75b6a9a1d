package screen

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestScreen(t *testing.T) {
	s := New(10, 3)
	out := "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[1;1Hhello\x1b[2;3H\x1b[1;31mre\x1b[0md\x1b[K\x1b[3;1H0123456789cut\x1b[1;2Hi\x1b[K日本"
	for i := range len(out) { // in the smallest pieces
		s.Write([]byte{out[i]})
	}
	if got := s.Lines(); !slices.Equal(got, []string{"hi日本", "  red", "0123456789"}) {
		t.Errorf("%q", got)
	}
	if c := s.Cells[1][2]; c != (Cell{'r', Style{Bold: true, Color: 31}}) {
		t.Errorf("%+v", c)
	}
	if !s.Alternate || !s.CursorHidden || s.Unknown != nil {
		t.Errorf("%+v", s)
	}
	s.Write([]byte("\r\nx\x1b[?1049l\x1b[?25h\x1bc\x1b[5A\x1b[38m\x1b[?9h"))
	if s.Alternate || s.CursorHidden || len(s.Unknown) != 4 || s.Text() != "\n\n" {
		t.Errorf("%+v %q", s, s.Text())
	}
}

func TestSVG(t *testing.T) {
	s := New(20, 2)
	s.Write([]byte("\x1b[1ma<b\x1b[0m & c\x1b[2;1H\x1b[7m \x1b[0;2m▁▂\x1b[0m"))
	var b bytes.Buffer
	if err := s.SVG(&b, "a & b"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a&lt;b", "&amp;", "▁▂", `font-weight="bold"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, &b)
		}
	}
	d := xml.NewDecoder(&b)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

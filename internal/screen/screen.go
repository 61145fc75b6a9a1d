// Package screen is a terminal in memory, as far as midge's own drawing needs
// one: tests look at what a program has drawn, and recordings become pictures.
package screen

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Style is how a cell looks.
type Style struct {
	Bold, Dim, Turned bool
	Color             int // 0: the usual; 31 to 36 as SGR has them
}

// A Cell is one place of the screen. Wide runes have the place behind them, too,
// whose Rune is 0.
type Cell struct {
	Rune rune
	Style
}

// A Screen takes what a program writes to its terminal. One goroutine uses it.
type Screen struct {
	W, H  int
	Cells [][]Cell // by line

	Alternate, CursorHidden bool

	row, col int
	style    Style
	rest     []byte // of a sequence that is not whole yet
	Unknown  []string
}

// New makes an empty screen.
func New(w, h int) *Screen {
	s := new(Screen)
	s.Resize(w, h)
	return s
}

// Resize makes it another size; what was on it is gone.
func (s *Screen) Resize(w, h int) {
	s.W, s.H = w, h
	s.Cells = make([][]Cell, h)
	for i := range s.Cells {
		s.Cells[i] = make([]Cell, w)
		blank(s.Cells[i])
	}
	s.row, s.col = 0, 0
}

func blank(cells []Cell) {
	for i := range cells {
		cells[i] = Cell{Rune: ' '}
	}
}

// Write takes output. What it does not know is in Unknown.
func (s *Screen) Write(p []byte) (int, error) {
	b := append(s.rest, p...)
	for len(b) > 0 {
		n := s.take(b)
		if n == 0 {
			break
		}
		b = b[n:]
	}
	s.rest = append([]byte(nil), b...)
	return len(p), nil
}

// take handles what is at the start of b, and says how much that was; 0 if the
// end is still to come.
func (s *Screen) take(b []byte) int {
	switch b[0] {
	case '\r':
		s.col = 0
		return 1
	case '\n':
		s.row = min(s.row+1, s.H-1)
		return 1
	case '\x1b':
		return s.escape(b)
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	s.put(r)
	return n
}

// put writes a rune; what is beyond the line is cut off.
func (s *Screen) put(r rune) {
	if s.row < s.H && s.col < s.W {
		s.Cells[s.row][s.col] = Cell{r, s.style}
	}
	if s.col++; wide(r) {
		if s.row < s.H && s.col < s.W {
			s.Cells[s.row][s.col] = Cell{0, s.style}
		}
		s.col++
	}
}

func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xff00 && r <= 0xff60
}

func (s *Screen) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != '[' {
		s.Unknown = append(s.Unknown, string(b[:2]))
		return 2
	}
	for i := 2; i < len(b); i++ {
		if b[i] >= '@' && b[i] <= '~' {
			s.control(string(b[2:i]), b[i])
			return i + 1
		}
	}
	return 0
}

func (s *Screen) control(args string, final byte) {
	switch final {
	case 'H':
		row, col, _ := strings.Cut(args, ";")
		s.row, s.col = place(row), place(col)
	case 'K':
		if s.row < s.H && s.col < s.W {
			blank(s.Cells[s.row][s.col:])
		}
	case 'J':
		s.Resize(s.W, s.H)
	case 'm':
		for _, code := range strings.Split(args, ";") {
			s.sgr(code)
		}
	case 'h', 'l':
		s.mode(args, final == 'h')
	default:
		s.Unknown = append(s.Unknown, args+string(final))
	}
}

// place is a number that counts from 1, and is 1 unsaid.
func place(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(0, n-1)
}

func (s *Screen) sgr(code string) {
	switch n, _ := strconv.Atoi(code); {
	case n == 0:
		s.style = Style{}
	case n == 1:
		s.style.Bold = true
	case n == 2:
		s.style.Dim = true
	case n == 7:
		s.style.Turned = true
	case n >= 30 && n <= 37:
		s.style.Color = n
	default:
		s.Unknown = append(s.Unknown, code+"m")
	}
}

func (s *Screen) mode(args string, on bool) {
	switch args {
	case "?1049":
		s.Alternate = on
		s.Resize(s.W, s.H)
	case "?25":
		s.CursorHidden = !on
	case "?7": // lines are cut off anyway
	default:
		s.Unknown = append(s.Unknown, args)
	}
}

// Lines is the text on the screen, without spaces at the ends of lines.
func (s *Screen) Lines() []string {
	lines := make([]string, s.H)
	for i, row := range s.Cells {
		var b strings.Builder
		for _, c := range row {
			if c.Rune != 0 {
				b.WriteRune(c.Rune)
			}
		}
		lines[i] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// Text is Lines in one.
func (s *Screen) Text() string { return strings.Join(s.Lines(), "\n") }

package screen

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Of a picture, in pixels.
const (
	cellWidth  = 8.4
	cellHeight = 18
	margin     = 14
	titleBar   = 30
)

var colors = map[int]string{
	0: "#d6d9e0", 31: "#ff6e6e", 32: "#7ddc8b", 33: "#f2c55c", 34: "#7aa7ff", 35: "#c792ea", 36: "#6fd3e3",
}

// SVG draws the screen as a picture with a title.
func (s *Screen) SVG(w io.Writer, title string) error {
	width, height := float64(s.W)*cellWidth+2*margin, s.H*cellHeight+2*margin+titleBar
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", quoted(title))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#1b1e26"/>`+"\n")
	for i, c := range []string{"#ff5f57", "#febc2e", "#28c840"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="18" r="6" fill="%s"/>`, 20+20*i, c)
	}
	fmt.Fprintf(&b, `<text x="%.0f" y="22" fill="#8a90a0" text-anchor="middle" font-family="sans-serif" font-size="13">%s</text>`+"\n", width/2, quoted(title))
	b.WriteString(`<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14" xml:space="preserve">` + "\n")
	for row := range s.Cells {
		s.drawRow(&b, row)
	}
	b.WriteString("</g>\n</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// drawRow draws runs of cells that look alike, each at its place.
func (s *Screen) drawRow(b *strings.Builder, row int) {
	cells := s.Cells[row]
	y := margin + titleBar + row*cellHeight
	for from := 0; from < len(cells); {
		to := from
		var text strings.Builder
		for to < len(cells) && cells[to].Style == cells[from].Style {
			if cells[to].Rune != 0 {
				text.WriteRune(cells[to].Rune)
			}
			to++
		}
		x, span := margin+float64(from)*cellWidth, float64(to-from)*cellWidth
		look := cells[from].Style
		fill := colors[look.Color]
		if look.Turned {
			fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, span, cellHeight, fill)
			fill = "#1b1e26"
		}
		if t := text.String(); strings.TrimSpace(t) != "" {
			extra := ""
			if look.Bold {
				extra += ` font-weight="bold"`
			}
			if look.Dim {
				extra += ` opacity="0.6"`
			}
			fmt.Fprintf(b, `<text x="%.1f" y="%d" textLength="%.1f" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n", x, y+14, span, fill, extra, quoted(t))
		}
		from = to
	}
}

func quoted(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return strings.ReplaceAll(b.String(), " ", "&#160;")
}

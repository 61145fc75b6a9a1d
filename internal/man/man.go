// Package man writes manual pages, from the texts that a program's help prints.
// It uses what man-db and mandoc both know of man(7).
package man

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A Page is a manual page that is being written, from its head to its end.
type Page struct {
	b     strings.Builder
	fresh bool // a section has just begun, which is a paragraph, too
}

// New begins the page of name in a section of the manual, 1 for commands and 5
// for files. The date and the version stand at its foot.
func New(name string, section int, brief string, date time.Time, version string) *Page {
	p := &Page{}
	fmt.Fprintf(&p.b, ".TH %s %d %s %q\n", strings.ToUpper(name), section, date.UTC().Format(time.DateOnly), version)
	p.Section("Name")
	fmt.Fprintf(&p.b, "%s \\- %s\n", escape(name), escape(brief))
	return p
}

// Section begins a section. A title in brackets stays as it is written.
func (p *Page) Section(title string) {
	if !strings.HasPrefix(title, "[") {
		title = strings.ToUpper(title)
	}
	fmt.Fprintf(&p.b, ".SH %s\n", escape(title))
	p.fresh = true
}

func (p *Page) paragraph() {
	if !p.fresh {
		p.b.WriteString(".PP\n")
	}
	p.fresh = false
}

// Text adds a paragraph.
func (p *Page) Text(lines ...string) {
	p.paragraph()
	p.lines(lines)
}

// Item adds a word, such as an option, and what there is to say of it.
func (p *Page) Item(term string, text ...string) {
	p.fresh = false
	fmt.Fprintf(&p.b, ".TP\n.B %s\n", escape(term))
	p.lines(text)
}

// Verbatim adds lines as they are, such as examples.
func (p *Page) Verbatim(lines ...string) {
	p.paragraph()
	p.b.WriteString(".RS 4\n.nf\n")
	p.lines(lines)
	p.b.WriteString(".fi\n.RE\n")
}

// See ends a page with others, each as name(section).
func (p *Page) See(pages ...string) {
	p.Section("See also")
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		comma := " ,"
		if i == len(pages)-1 {
			comma = ""
		}
		fmt.Fprintf(&p.b, ".BR %s (%s%s\n", escape(name), section, comma)
	}
}

func (p *Page) String() string { return p.b.String() }

func (p *Page) lines(lines []string) {
	for _, l := range lines {
		l = escape(l)
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			l = `\&` + l
		}
		p.b.WriteString(l + "\n")
	}
}

// escape keeps what roff would change: so that a command can be copied from a
// page, dashes and quotes stay what a shell reads.
var escape = strings.NewReplacer(
	`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`,
).Replace

var (
	heading = regexp.MustCompile(`^([A-Z][a-z ]+)(, .*)?:$`)
	opening = regexp.MustCompile(`^([A-Z][a-z ]+): +(\S.*)$`)
	item    = regexp.MustCompile(`^  (\S.*?)  +(\S.*)$`)
)

// Help adds a command's help: "usage: " and a line, paragraphs, and sections
// under a heading with a colon. Of the indented lines those of the description
// and of examples stay as they are; elsewhere they are items, whose word ends
// with two spaces.
func (p *Page) Help(help string) {
	usage, rest, _ := strings.Cut(strings.TrimPrefix(help, "usage: "), "\n")
	p.Section("Synopsis")
	p.Verbatim(strings.Split(strings.ReplaceAll(usage, " | midge ", "\nmidge "), "\n")...)
	p.Section("Description")
	title := ""
	for _, block := range strings.Split(strings.TrimSpace(rest), "\n\n") {
		lines := strings.Split(block, "\n")
		if m := heading.FindStringSubmatch(lines[0]); m != nil {
			title, lines = m[1], lines[1:]
			if len(lines) == 0 {
				continue
			}
			p.Section(title)
			if m[2] != "" {
				said := m[2][len(", "):]
				p.Text(strings.ToUpper(said[:1]) + said[1:] + ".")
			}
		} else if m := opening.FindStringSubmatch(lines[0]); m != nil && title != "" {
			p.Section(m[1])
			lines[0] = m[2]
		}
		p.block(lines, title != "" && title != "Examples")
	}
}

// block adds lines that belong together, those that are indented as items or
// as they are.
func (p *Page) block(lines []string, items bool) {
	for len(lines) > 0 {
		n := 1
		indented := strings.HasPrefix(lines[0], "  ")
		for n < len(lines) && strings.HasPrefix(lines[n], "  ") == indented && !(indented && items) {
			n++
		}
		switch m := item.FindStringSubmatch(lines[0]); {
		case !indented:
			p.Text(lines[:n]...)
		case items && m != nil:
			p.Item(m[1], m[2])
		default:
			plain := make([]string, n)
			for i, l := range lines[:n] {
				plain[i] = l[2:]
			}
			p.Verbatim(plain...)
		}
		lines = lines[n:]
	}
}

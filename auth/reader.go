package auth

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A reader goes through a file of lines and collects what is wrong with it.
type reader struct {
	name    string
	scanner *bufio.Scanner
	text    string // of the line at hand, trimmed
	number  int
	again   bool // next stays where it is
	errs    []error
}

// maxLine is the longest line of a file, bytes.
const maxLine = 1 << 20

func newReader(name string, r io.Reader) *reader {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	return &reader{name: name, scanner: s}
}

// next goes to the next line that says something.
func (r *reader) next() bool {
	if r.again {
		r.again = false
		return true
	}
	for r.scanner.Scan() {
		r.number++
		text := r.scanner.Text()
		if r.number == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if r.text = strings.TrimSpace(text); r.text != "" && r.text[0] != '#' {
			return true
		}
	}
	if err := r.scanner.Err(); err != nil {
		r.number++
		r.fail("%w", err)
	}
	return false
}

// maxErrors is how many mistakes are listed.
const maxErrors = 20

// fail notes a mistake in the line at hand.
func (r *reader) fail(format string, args ...any) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, fmt.Errorf("%s:%d: "+format, append([]any{r.name, r.number}, args...)...))
	}
}

func (r *reader) err() error { return errors.Join(r.errs...) }

func (r *reader) origin() *origin {
	return &origin{text: r.text, place: fmt.Sprintf("%s:%d", r.name, r.number)}
}

// cutWord takes the first word off a line.
func cutWord(line string) (word, rest string) {
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return line, ""
	}
	return line[:i], strings.TrimSpace(line[i:])
}

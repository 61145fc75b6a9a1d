package mosquitto

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/midgemq/midge/internal/config"
)

// A Note is about one line that is not taken as it stands.
type Note struct {
	Place     string // file:line
	Directive string
	Text      string
	Refused   bool // and not only done differently
}

func (n Note) String() string { return n.Place + ": " + n.Directive + ": " + n.Text }

// Read is a mosquitto.conf that was read.
type Read struct {
	Config *config.Config
	Files  []string // read on the way
	Dirs   []string // in which others may come to be
	Notes  []Note   // in their order
}

// Refused are the notes about what midge cannot do.
func (r *Read) Refused() (all []Note) {
	for _, n := range r.Notes {
		if n.Refused {
			all = append(all, n)
		}
	}
	return all
}

// A refusal is a value that midge cannot honour.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

type parser struct {
	c     *config.Config
	notes []Note
	errs  []error
	files []string
	dirs  []string
	depth int
	place string // file:line

	listeners []*listener
	fallback  *listener // the default one, if something is about it
	current   *listener // of this file

	perListenerSettings, securitySaid bool
	persistence                       bool
	location                          string
	nagle                             bool
	inflightBytes                     int
	verbosity                         int
	logged                            string
	aliasesSaid, aliasesOutSaid       bool
}

// Load reads a file and those it includes. The error names every line that
// Mosquitto would not take either.
func Load(path string) (*Read, error) {
	p := &parser{c: config.Default()}
	p.c.Log.Connections = true
	if err := p.file(path); err != nil {
		return nil, fmt.Errorf("mosquitto: %w", err)
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, fmt.Errorf("mosquitto: %w", err)
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("mosquitto: %w", err)
	}
	return &Read{Config: p.c, Files: p.files, Dirs: p.dirs, Notes: p.notes}, nil
}

func (p *parser) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p.files = append(p.files, path)
	around := p.current
	p.current = nil // each file begins with the default listener
	defer func() { p.current = around }()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		p.place = path + ":" + strconv.Itoa(n)
		line := strings.TrimRight(in.Text(), "\r\n \t")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.line(line); err != nil {
			return err
		}
	}
	return in.Err()
}

func (p *parser) line(line string) error {
	place := p.place
	name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
	value = strings.TrimSpace(value)
	d := find(name)
	for _, prefix := range []string{"plugin_opt_", "auth_opt_"} {
		if strings.HasPrefix(name, prefix) {
			d = find(prefix + "*")
		}
	}
	switch {
	case d == nil:
		p.errs = append(p.errs, fmt.Errorf("%s: there is no directive %s", place, name))
		return nil
	case value == "":
		p.errs = append(p.errs, fmt.Errorf("%s: %s: a value is missing", place, name))
		return nil
	case d.take == nil:
		p.notes = append(p.notes, Note{place, name, d.How, true})
		return nil
	}
	note, err := d.take(p, value)
	var no *refusal
	switch {
	case errors.As(err, &no):
		why := no.why
		if why == "" {
			why = d.How
		}
		p.notes = append(p.notes, Note{place, name, why, true})
	case err != nil:
		p.errs = append(p.errs, fmt.Errorf("%s: %s: %w", place, name, err))
	case note != "":
		p.notes = append(p.notes, Note{place, name, note, false})
	case d.Verdict == Differently && name != "log_type" && name != "log_dest":
		p.notes = append(p.notes, Note{place, name, d.How, false})
	}
	return nil
}

// finish puts in place what depends on the whole file.
func (p *parser) finish() error {
	c := p.c
	for _, l := range p.listeners {
		if l.refused {
			continue
		}
		if (l.identity || l.subject) && !l.require && l.Cert != "" { // Mosquitto then asks for no certificate, and refuses everybody for having none
			return fmt.Errorf("%s: nobody can come in without require_certificate true", l.named)
		}
		c.Listeners = append(c.Listeners, l.finish())
	}
	// Without any listener Mosquitto serves this machine, and lets everybody in.
	c.Complete()
	anonymous := len(p.listeners) == 0
	if !p.perListenerSettings && c.Auth.AllowAnonymous == nil {
		c.Auth.AllowAnonymous = &anonymous
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		l.Nagle = p.nagle
		if p.perListenerSettings && l.AllowAnonymous == nil {
			l.AllowAnonymous = &anonymous
		}
	}
	if p.persistence {
		c.Data.Dir = filepath.Join(p.location, "midge")
	}
	if p.inflightBytes > 0 {
		c.Limits.MaxQueuedBytes = min(c.Limits.MaxQueuedBytes+config.Size(p.inflightBytes), topBytes)
	}
	return c.Absolute()
}

// The forms of values.

func truth(v string) (bool, error) {
	switch v {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", v)
}

func boolean(set func(*parser, bool)) func(*parser, string) (string, error) {
	return func(p *parser, v string) (string, error) {
		b, err := truth(v)
		if err == nil {
			set(p, b)
		}
		return "", err
	}
}

func number(low, top int, set func(*parser, int)) func(*parser, string) (string, error) {
	return func(p *parser, v string) (string, error) {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > top {
			return "", fmt.Errorf("%q is no number within %d to %d", v, low, top)
		}
		set(p, n)
		return "", nil
	}
}

func text(of func(*listener) *string) func(*parser, string) (string, error) {
	return func(p *parser, v string) (string, error) {
		*of(p.here()) = v
		return "", nil
	}
}

// noted takes any value: what is done instead stands in the table.
func noted(*parser, string) (string, error) { return "", nil }

// ignored takes any value, as Mosquitto does.
func ignored(*parser, string) (string, error) { return "", nil }

// onlyFalse refuses to turn something on, for the reason in the table.
func onlyFalse(_ *parser, v string) (string, error) {
	b, err := truth(v)
	if err == nil && b {
		return "", &refusal{}
	}
	return "", err
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/midgemq/midge"
	"github.com/midgemq/midge/internal/config"
	"github.com/midgemq/midge/internal/man"
)

func manCmd(ctx context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("man", out, errs, "midge man DIR", `
Writes the manual pages of midge, of each of its commands, and of its
configuration file into the folder DIR, which is made if it is missing: pages of
section 1 into DIR/man1, of section 5 into DIR/man5. They say what --help and
midge config say. They bear today's date, or that of SOURCE_DATE_EPOCH.

Examples:
  midge man /usr/local/share/man
  midge man /tmp/man && man -l /tmp/man/man5/midge.toml.5`)
	if err := parse(fs, args, 1); err != nil {
		return err
	}
	date := time.Now()
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %q is no number of seconds", epoch)
		}
		date = time.Unix(seconds, 0)
	}
	pages, err := manPages(ctx, date)
	if err != nil {
		return err
	}
	for name, page := range pages {
		path := filepath.Join(fs.Arg(0), "man"+name[len(name)-1:], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d pages in %s; MANPATH=%s: man midge\n", len(pages), fs.Arg(0), fs.Arg(0))
	return nil
}

// manPages are all pages, by the names of their files.
func manPages(ctx context.Context, date time.Time) (map[string]string, error) {
	pages := map[string]string{}
	add := func(name string, section int, brief string, fill func(*man.Page) error, also ...string) error {
		p := man.New(name, section, brief, date, "midge "+midge.Version)
		err := fill(p)
		p.See(also...)
		pages[fmt.Sprintf("%s.%d", name, section)] = p.String()
		return err
	}
	var all []string
	for _, c := range commands() {
		name := "midge-" + c.name
		all = append(all, name+"(1)")
		err := add(name, 1, c.brief, func(p *man.Page) error {
			var text bytes.Buffer
			if err := c.run(ctx, []string{"--help"}, &text, io.Discard); err != nil && err != errHelp {
				return fmt.Errorf("%s --help: %w", c.name, err)
			}
			p.Help(text.String())
			return nil
		}, "midge(1)", "midge.toml(5)")
		if err != nil {
			return nil, err
		}
	}
	add("midge", 1, "an MQTT 3.1, 3.1.1 and 5.0 broker and its tools", overview, append(all, "midge.toml(5)")...)
	add("midge.toml", 5, "the configuration of midge", configPage, "midge(1)", "midge-config(1)", "midge-check(1)", "midge-reload(1)", "midge-serve(1)")
	return pages, nil
}

// overview is midge help as a page.
func overview(p *man.Page) error {
	var text bytes.Buffer
	help(&text)
	_, rest, _ := strings.Cut(text.String(), "\n")
	p.Help("usage: midge COMMAND [options] | midge [options of midge serve]\n\nA broker, in one program with what goes with it. Each command has a page of its own.\n\nCommands:\n" + strings.TrimLeft(rest, "\n"))
	return nil
}

// configPage is midge config as a page.
func configPage(p *man.Page) error {
	c := config.Default()
	c.Complete()
	p.Section("Description")
	for _, paragraph := range config.About() {
		p.Text(paragraph)
	}
	for _, s := range c.Sections() {
		p.Section(s.Header)
		p.Text(s.Help)
		for _, k := range s.Keys {
			text := []string{k.Help}
			if k.Live {
				text = append(text, "(live)")
			}
			p.Item(k.Example(), text...)
		}
	}
	return nil
}

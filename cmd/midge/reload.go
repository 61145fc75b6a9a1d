package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/midgemq/midge"
)

const reloadText = `
Has a running midge read its configuration again, and the files that it names:
passwords, rules, certificates, authorities and revocation lists. Clients that
may stay notice nothing. It finds the process by its pid_file.

What came of it stands in the log of the broker: which keys have changed, who
had to go, and which keys need a restart. A mistake changes nothing.

Examples:
  midge reload -c /etc/midge/midge.toml
  midge reload --pid-file /run/midge/midge.pid
  systemctl reload midge                       with midge's unit`

func reloadCmd(_ context.Context, args []string, out, errs io.Writer) error {
	fs := newFlags("reload", out, errs, "midge reload [-c FILE | --pid-file FILE]", reloadText)
	file := fs.String("c", "", "the configuration `file`: it is checked first, and names the pid_file")
	pidFile := fs.String("pid-file", "", "`file` with the number of the process")
	if err := parse(fs, args, 0); err != nil {
		return err
	}
	if *file != "" {
		f := serveFlags{file: *file, wsPath: "/mqtt"}
		c, err := f.config()
		if err == nil {
			err = f.complete(c, &service{})
		}
		if err == nil {
			_, _, err = allRules(c, nil)
		}
		if err == nil {
			_, err = adminRulesFor(&c.Admin)
		}
		if err == nil {
			_, err = telemetryFor(c)
		}
		if err != nil {
			return fmt.Errorf("%w\nnothing was reloaded", err)
		}
		*pidFile = either(*pidFile, c.Process.PIDFile)
	}
	if *pidFile == "" {
		return usage(fs, errors.New("which process? name its pid_file with --pid-file, or a configuration that has one with -c"))
	}
	pid, err := readPID(*pidFile)
	if err != nil {
		return err
	}
	if err := hangUp(pid); err != nil {
		return fmt.Errorf("process %d of %s: %w", pid, *pidFile, err)
	}
	fmt.Fprintf(out, "process %d reads its configuration again; its log says what came of it\n", pid)
	return nil
}

// reloadUntil reloads whenever it is told to, until ctx ends.
func (r *running) reloadUntil(ctx context.Context, b *midge.Broker, told <-chan os.Signal) {
	var tick <-chan time.Time
	if every := time.Duration(r.cfg.Process.Watch); every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
		case <-tick:
			if !r.seen.stale(r.files()) {
				continue
			}
		}
		r.reload(b)
	}
}

// files are all that a reload reads.
func (r *running) files() []string { return append(r.cfg.Files(), r.flags.sources()...) }

// sources are the files that the configuration itself stands in.
func (f *serveFlags) sources() []string {
	return slices.DeleteFunc(append([]string{f.file, f.mosquitto}, f.included...), func(s string) bool { return s == "" })
}

// stamps say which state of each file, and of those in a folder, was read. They are taken before the
// reading, so that no change falls between the two.
type stamps map[string]stamp

type stamp struct {
	size    int64
	changed int64 // unix, ns
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{size: -1} // a file that comes to be is a change, too
	}
	s := stamp{size: info.Size(), changed: info.ModTime().UnixNano()}
	if info.IsDir() {
		inside, _ := filepath.Glob(filepath.Join(file, "*"))
		for _, f := range inside {
			if info, err := os.Stat(f); err == nil && !info.IsDir() {
				s.size, s.changed = s.size+info.Size(), max(s.changed, info.ModTime().UnixNano())
			}
		}
	}
	return s
}

// add stamps the files that have none.
func (s stamps) add(files []string) {
	for _, f := range files {
		if _, done := s[f]; !done {
			s[f] = stampOf(f)
		}
	}
}

func (s stamps) stale(files []string) bool {
	return slices.ContainsFunc(files, func(f string) bool { return s[f] != stampOf(f) })
}

// reload puts in force what can be, and says the rest. After an error
// everything is as it was.
func (r *running) reload(b *midge.Broker) {
	if r.logFile != nil { // it may have been moved away
		if err := r.logFile.reopen(); err != nil {
			r.log.Error("the log goes where it went", "error", err)
		}
	}
	r.seen = stamps{}
	r.seen.add(r.files())
	c, err := r.flags.config()
	if err == nil {
		r.seen.add(append(c.Files(), r.flags.sources()...))
		svc := *r.svc
		err = r.flags.complete(c, &svc)
	}
	if err != nil {
		r.log.Error("nothing was reloaded", "error", err)
		return
	}
	c, live, restart := r.cfg.Take(c)
	rules, err := adminRulesFor(&c.Admin)
	send, bad := telemetryFor(c)
	err = errors.Join(err, bad)
	if err != nil {
		r.log.Error("nothing was reloaded", "error", err)
		return
	}
	gone, err := r.doors.apply(b, c)
	if err != nil {
		r.log.Error("nothing was reloaded", "error", err)
		return
	}
	if err := b.Adjust(c.Broker()); err != nil { // checked
		r.log.Error("the limits are as they were", "error", err)
	}
	if level, _, err := c.Log.Slog(); err == nil {
		r.level.Set(level)
	}
	if err := r.shield.Adjust(shieldOf(c, r.log)); err != nil { // checked
		r.log.Error("who is kept out is as it was", "error", err)
	}
	applyMemory(c)
	r.trace.apply(b, c.Trace, r.log)
	r.sending.apply(send, b, r.shield, r.log)
	r.admin.apply(rules)
	r.cfg = c
	if len(restart) > 0 {
		r.log.Warn("what has changed there needs a restart; until then it is as it was", "keys", strings.Join(restart, " "))
	}
	r.log.Info("reloaded", "changed", strings.Join(live, " "), "disconnected", len(gone))
	sayWhoComesIn(r.log, c)
}

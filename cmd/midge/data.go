package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/midgemq/midge/store/disk"
)

// dataFlags say where and how well the broker remembers.
type dataFlags struct {
	dir        string
	durability string
	interval   time.Duration
}

func (f *dataFlags) define(fs *flag.FlagSet) {
	fs.StringVar(&f.dir, "data", "", "keep sessions, queued and retained messages and wills in the folder `dir`, which is made if it is missing (default: in memory, gone with the process)")
	fs.StringVar(&f.durability, "durability", "", "`when` an acknowledgement leaves: always, after fsync; interval, at once, fsync every --interval; none, at once (needs --data; default always)")
	fs.DurationVar(&f.interval, "interval", 0, "`time` between two fsyncs, for --durability interval (default 1s)")
}

// options checks what was asked for. nil is a broker in memory.
func (f *dataFlags) options() (*disk.Options, error) {
	if f.dir == "" {
		if f.durability != "" || f.interval != 0 {
			return nil, errors.New("--durability and --interval say how well a folder is kept: name it with --data DIR")
		}
		return nil, nil
	}
	o := &disk.Options{Interval: f.interval}
	if f.durability != "" {
		var err error
		if o.Durability, err = disk.ParseDurability(f.durability); err != nil {
			return nil, fmt.Errorf("--%w", err)
		}
	}
	switch {
	case f.interval < 0:
		return nil, fmt.Errorf("--interval is %v, want more than 0", f.interval)
	case f.interval > 0 && o.Durability != disk.Interval:
		return nil, fmt.Errorf("--interval goes with --durability interval, and it is %v", o.Durability)
	}
	return o, nil
}

// openData opens the folder, draws how far it is if somebody looks, and tells
// the service manager.
func openData(dir string, o *disk.Options, svc *service, errs io.Writer) (*disk.Store, error) {
	o.Logger = svc.log
	if runtime.GOMAXPROCS(0) == 1 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2) // a sync would hold up everybody else: it is a while before the runtime takes notice
	}
	done := drawProgress(errs, "reading "+dir, o)
	if svc.Notifier != nil {
		svc.tell(svc.Extend(startMargin))
		o.Progress = svc.reading
	}
	st, err := disk.Open(dir, *o)
	done()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, adviseOpen(dir, err))
	}
	return st, nil
}

// adviseOpen says what to do about a folder that cannot be opened.
func adviseOpen(dir string, err error) string {
	switch {
	case errors.Is(err, disk.ErrInUse):
		return "another midge keeps its data there: stop it, or choose another folder"
	case errors.Is(err, disk.ErrVersion):
		return "start the midge that wrote it, or choose another folder; this one has left it as it is"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "the user midge runs as must be able to write there; midge check " + dir + " only reads"
	}
	return "--data wants a folder that midge can read and write, or make"
}

// drawProgress has the reading of a folder drawn, if somebody looks. done takes
// it away.
func drawProgress(errs io.Writer, what string, o *disk.Options) (done func()) {
	if terminal(errs) == nil {
		return func() {}
	}
	o.Progress = func(read, of int64) { fmt.Fprintf(errs, "\r\x1b[K%s", progressLine(what, read, of)) }
	return func() { fmt.Fprint(errs, "\r\x1b[K") }
}

// progressLine draws a bar: what, how much of it, and the share.
func progressLine(what string, done, of int64) string {
	const width = 30
	of = max(of, 1)
	n := int(width * min(done, of) / of)
	return fmt.Sprintf("%s [%s%s] %3d%% of %s", what, strings.Repeat("#", n), strings.Repeat(".", width-n), 100*min(done, of)/of, humanBytes(of))
}

// humanBytes is n as people say it.
func humanBytes(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

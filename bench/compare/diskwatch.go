package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A diskWatch counts what a process does to the disk: its calls of fsync and
// fdatasync as the kernel's tracepoints have them (perf, which needs root; it
// costs a counter for each call), and the bytes of pages it dirtied
// (/proc/PID/io).
type diskWatch struct {
	pid     int
	perf    *exec.Cmd // nil: there is none
	syncs   chan []float64
	stop    chan struct{}
	written chan float64
}

const watchEvery = 100 * time.Millisecond

func watchDisk(pid int) (*diskWatch, error) {
	w := &diskWatch{pid: pid, syncs: make(chan []float64, 1), stop: make(chan struct{}), written: make(chan float64, 1)}
	if _, err := writtenBy(pid); err != nil {
		return nil, err
	}
	if file, err := exec.LookPath("perf"); err == nil {
		if err := w.count(file); err != nil {
			return nil, err
		}
	}
	go w.sample()
	return w, nil
}

// count has perf say every tenth of a second how many syncs there were.
func (w *diskWatch) count(perf string) error {
	cmd := exec.Command(perf, "stat", "-x", ";", "-I", strconv.Itoa(int(watchEvery/time.Millisecond)),
		"-e", "syscalls:sys_enter_fsync,syscalls:sys_enter_fdatasync", "-p", strconv.Itoa(w.pid))
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.perf = cmd
	go func() {
		var all []float64
		at := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f := strings.Split(lines.Text(), ";")
			if len(f) < 4 {
				continue
			}
			n, err := strconv.ParseFloat(strings.TrimSpace(f[1]), 64)
			if err != nil {
				continue
			}
			if f[0] != at {
				at, all = f[0], append(all, 0)
			}
			all[len(all)-1] += n
		}
		w.syncs <- all
	}()
	return nil
}

func (w *diskWatch) sample() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var all []float64
	for last := -1.0; ; {
		select {
		case <-w.stop:
			w.written <- steady(all)
			return
		case <-tick.C:
			n, err := writtenBy(w.pid)
			if err == nil && last >= 0 {
				all = append(all, n-last)
			}
			last = n
		}
	}
}

// end returns how many syncs and bytes there were a second; syncs are negative
// if nobody counted them.
func (w *diskWatch) end() (syncs, written float64) {
	close(w.stop)
	syncs = -1
	if w.perf != nil {
		w.perf.Process.Signal(os.Interrupt)
		if all := <-w.syncs; len(all) > 0 {
			syncs = steady(all)
		}
		w.perf.Wait()
	}
	return syncs, <-w.written
}

// steady is the mean over the middle of a run, a second.
func steady(all []float64) float64 {
	all = all[len(all)*4/10 : len(all)*9/10]
	sum := 0.0
	for _, n := range all {
		sum += n
	}
	return sum / (float64(max(len(all), 1)) * watchEvery.Seconds())
}

var writeBytes = regexp.MustCompile(`(?m)^write_bytes: (\d+)$`)

// writtenBy is how much of a process's writing has to go to the disk.
func writtenBy(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	m := writeBytes.FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("/proc/%d/io does not say what was written", pid)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

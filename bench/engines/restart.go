package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// restarts queues n messages in each engine, and opens each in a process of
// its own.
func restarts(root string, names []string, n int, o options) error {
	fmt.Printf("the start with %d messages of %d bytes queued for %d sessions\n\n", n, o.payload, o.publishers)
	for _, name := range names {
		dir := filepath.Join(root, name)
		if err := fill(name, dir, n, o); err != nil {
			return err
		}
		out, err := exec.Command(os.Args[0], "-start", name+":"+dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		fmt.Printf("%s  %.1f MB on disk\n", strings.TrimSpace(string(out)), float64(onDisk(dir))/1e6)
	}
	return nil
}

func fill(name, dir string, n int, o options) error {
	e, err := engines[name](dir)
	if err != nil {
		return err
	}
	e.sessions(o.publishers)
	payload := make([]byte, o.payload)
	for from := 0; from < n; from += 10_000 {
		var durable sync.WaitGroup
		for i := from; i < min(from+10_000, n); i++ {
			durable.Add(1)
			e.Put(uint64(i%o.publishers+1), uint64(i/o.publishers+1), uint64(i+1), payload, durable.Done)
		}
		durable.Wait()
	}
	return e.Close()
}

// started opens one and counts what waits, as a broker has to.
func started(what string) error {
	name, dir, _ := strings.Cut(what, ":")
	began := time.Now()
	e, err := engines[name](dir)
	if err != nil {
		return err
	}
	opened := time.Since(began)
	sessions, messages, err := e.Queued()
	if err != nil {
		return err
	}
	counted := time.Since(began)
	settle()
	fmt.Printf("%-7s opened %8v  counted %8v  (%d sessions, %d messages)  resident %.1f MB\n",
		name, opened.Round(time.Millisecond), counted.Round(time.Millisecond), sessions, messages, resident())
	return e.Close()
}

// resident is this process's memory without the pages of files, MB.
func resident() float64 {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(b), "\nRssAnon:")
	var kb float64
	fmt.Sscan(rest, &kb)
	return kb / 1e3
}

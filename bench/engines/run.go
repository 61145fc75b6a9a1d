package main

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// run loads one engine and counts.
func run(name, dir string, o options) (result, error) {
	e, err := engines[name](dir)
	if err != nil {
		return result{}, err
	}
	settle()
	e.sessions(o.publishers)
	wrote, cpu, before := written(), used(), e.counts()
	began := time.Now()
	until := began.Add(o.duration)
	var number atomic.Uint64
	var mu sync.Mutex
	var took []time.Duration
	var work sync.WaitGroup
	for p := range o.publishers {
		var seq atomic.Uint64
		for range o.window {
			work.Go(func() {
				mine := publish(e, uint64(p+1), &seq, &number, until, o)
				mu.Lock()
				took = append(took, mine...)
				mu.Unlock()
			})
		}
	}
	work.Wait()
	seconds := time.Since(began).Seconds()
	after := e.counts()
	n := float64(len(took))
	slices.Sort(took)
	r := result{
		Engine: name, Messages: n / seconds, Commits: float64(after.commits-before.commits) / seconds,
		Syncs: float64(after.syncs-before.syncs) / seconds, PerCommit: n / float64(max(after.commits-before.commits, 1)),
		P50: took[len(took)/2], P99: took[len(took)*99/100], CPU: time.Duration(float64(used()-cpu) / n),
	}
	err = e.Close()
	syscall.Sync() // what a cache holds back is written, too
	r.Written = float64(written()-wrote) / n
	r.OnDisk = onDisk(dir)
	os.RemoveAll(dir)
	return r, err
}

// publish sends one message after the other until it is time.
func publish(e engine, session uint64, seq, number *atomic.Uint64, until time.Time, o options) (took []time.Duration) {
	payload := make([]byte, o.payload)
	durable := make(chan struct{}, 1)
	wake := func() { durable <- struct{}{} }
	for time.Now().Before(until) {
		m, s := number.Add(1), seq.Add(1)
		binary.LittleEndian.PutUint64(payload[:8], m)
		began := time.Now()
		e.Put(session, s, m, payload, wake)
		<-durable
		took = append(took, time.Since(began))
		if !o.absent {
			e.Done(session, s, m)
		}
	}
	return took
}

// written is how many bytes this process has caused to be sent to the disk.
func written() int64 {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "\nwrite_bytes: ")
	number, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseInt(number, 10, 64)
	return n
}

// used is the CPU time this process has used.
func used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func onDisk(dir string) (size int64) {
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

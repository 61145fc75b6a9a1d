package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// writePID leaves the process number where midge reload finds it, in a file
// that is claimed until the process ends, however it does: a number left behind
// may be anybody's by then, and most would be killed by a SIGHUP. No path: nil.
func writePID(path string) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("pid_file: %w", err)
	}
	if claim(f) == claimedAlready {
		f.Close()
		return nil, fmt.Errorf("pid_file: %s is that of another midge that runs", path)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("pid_file: %w", err)
	}
	return f, nil
}

func removePID(f *os.File) {
	if f != nil {
		os.Remove(f.Name()) // gone already is as well
		f.Close()
	}
}

// readPID finds the process of a pid_file.
func readPID(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("%w\nis midge running, with pid_file in its configuration?", err)
	}
	defer f.Close()
	var text [32]byte
	n, _ := f.Read(text[:])
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s holds no process number", path)
	}
	if claim(f) == claimedNow {
		return 0, fmt.Errorf("%s was left behind: midge does not run, and process %d may be another's", path, pid)
	}
	return pid, nil
}

// A claimed says whose a file is.
type claimed int

const (
	claimUnknown   claimed = iota // the system does not say
	claimedNow                    // ours, until it is closed
	claimedAlready                // another process's
)

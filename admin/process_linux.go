package admin

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// ticks a second are what /proc counts processor time in, whatever the kernel
// was built with.
const ticks = 100

// readSystem reads /proc. What is not there stays unknown.
func (p *Process) readSystem() {
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		p.Resident = number(bytes.Fields(text), 1) * uint64(os.Getpagesize())
	}
	if text, err := os.ReadFile("/proc/self/stat"); err == nil {
		// The second field is a name, which may hold anything, in parentheses.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		p.CPU = float64(number(fields, 11)+number(fields, 12)) / ticks
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		p.MaxFiles = uint64(limit.Cur)
	}
	p.Files = openFiles()
}

func number(fields [][]byte, i int) uint64 {
	if i >= len(fields) {
		return 0
	}
	n, _ := strconv.ParseUint(string(fields[i]), 10, 64)
	return n
}

// openFiles asks for the size of the folder, which newer kernels know, before
// it counts.
func openFiles() uint64 {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	if info, err := d.Stat(); err == nil && info.Size() > 0 {
		return uint64(info.Size())
	}
	names, _ := d.Readdirnames(-1)
	return uint64(len(names))
}

package bench

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// The processor time of a process goes on while it works, by about as much.
func TestProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	before, ok := process(os.Getpid())
	if !ok || before.rss < 1<<20 {
		t.Fatal(before, ok)
	}
	for {
		now, _ := process(os.Getpid())
		if now.cpu > before.cpu+20*time.Millisecond {
			break
		}
		if now.cpu < before.cpu {
			t.Fatalf("processor time went from %v to %v", before.cpu, now.cpu)
		}
	}
	if fine, ok := processorTime(os.Getpid()); !ok || fine <= before.cpu {
		t.Errorf("%v after %v, %v", fine, before.cpu, ok)
	}
	if _, ok := process(1 << 30); ok {
		t.Error("a process that is not there has used something")
	}
}

package tiny

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/midgemq/midge/mqtt"
)

const (
	costMessages = "MIDGE_TINY_COST_MESSAGES" // set in the child only
	costFilter   = "MIDGE_TINY_COST_FILTER"
	costMost     = 2000 // instructions a message
)

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(costMessages)); err == nil {
		costChild(n)
		return
	}
	os.Exit(m.Run())
}

// costChild routes n messages.
func costChild(n int) {
	f := newFeeder(new(testing.T), mqtt.V311, mqtt.AtMostOnce, os.Getenv(costFilter))
	for range n {
		f.b.Receive(f.pub, f.in)
		f.b.Outgoing(f.sub, f.out)
	}
}

// A QoS 0 message of 64 bytes to one subscriber, from the publisher's bytes to
// the subscriber's, costs at most 2,000 instructions: counted, not timed.
func TestCostOfAMessage(t *testing.T) {
	if Raced {
		t.Skip("SKIPPED: the race detector's instructions are not ours; go test ./tiny counts")
	}
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		t.Skip("SKIPPED: valgrind, which counts instructions, is not installed")
	}
	for _, filter := range []string{fedTopic, wildFilter, "house/#"} {
		const n = 20_000
		each := (instructions(t, valgrind, filter, n) - instructions(t, valgrind, filter, 0)) / n
		t.Logf("%d instructions a message of %d bytes topic to a subscriber of %s", each, len(fedTopic), filter)
		if filter == fedTopic && each > costMost || each > costMost+costMost/10 || each < 100 {
			t.Errorf("%d instructions a message, want at most %d", each, costMost)
		}
	}
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// instructions counts those of a child that routes some messages.
func instructions(t *testing.T, valgrind, filter string, messages int) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), valgrind, "--tool=callgrind", "--callgrind-out-file="+filepath.Join(t.TempDir(), "out"), os.Args[0])
	cmd.Env = append(os.Environ(), costMessages+"="+strconv.Itoa(messages), costFilter+"="+filter,
		"GOGC=off", "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	m := collected.FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

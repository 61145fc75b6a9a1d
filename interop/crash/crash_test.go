package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/midgemq/midge/interop/internal/harness"
)

var midge string // built without the race detector: it is the broker users run

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "crash-test-")
	if err == nil {
		midge = filepath.Join(dir, "midge")
		err = harness.Build(context.Background(), midge)
	}
	code := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func kill(t *testing.T, broker string, times int, wait time.Duration) verdict {
	t.Helper()
	v, err := run(t.Context(), plan{
		Broker: broker, Kills: times, Stops: 7, Seed: 7, Rate: 500, For: time.Minute, midge: midge, dir: t.TempDir(),
		Wait: wait, say: func(string, ...any) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	if v.Kills != times {
		t.Errorf("%d kills, want %d", v.Kills, times)
	}
	return v
}

// The short form of the crash test: nothing midge acknowledged is lost.
func TestMidgeKeepsItsWord(t *testing.T) {
	v := kill(t, "midge", 20, patience)
	if v.Faults.total() > 0 {
		t.Errorf("%d faults: %v\n%s", v.Faults.total(), v.Faults.rows(), strings.Join(v.Faults.Examples, "\n"))
	}
	if v.Promised < 500 || v.Wills == 0 || v.Looks == 0 {
		t.Errorf("%d deliveries and %d wills promised, %d looks at retained messages: not enough to tell", v.Promised, v.Wills, v.Looks)
	}
}

// A broker that keeps nothing is found out.
func TestForgettingIsNoticed(t *testing.T) {
	v := kill(t, "midge-forgetful", 4, 2*time.Second)
	f := v.Faults
	if f.Lost == 0 || f.SessionsLost == 0 || f.Stale == 0 {
		t.Errorf("not all noticed: %v", f.rows())
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-brokers nobody", "nobody here knows how to start"},
		{"-brokers midge-often -midge x", "midge runs as"},
		{"-brokers mosquitto-never", "mosquitto runs as"},
		{"-frob", "not defined"},
	} {
		var out, errs bytes.Buffer
		if _, err := command(t.Context(), strings.Fields(c.args), &out, &errs); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	r := result{Plan: plan{Broker: "some", Seed: 3}, Verdict: verdict{Kills: 9, Promised: 1234}, Seconds: 1.4}
	r.Verdict.Faults.add(&r.Verdict.Faults.Lost, "%s never got it", "s1")
	draw(&b, []result{r})
	for _, want := range []string{"| some |", "| 1234 |", "| lost                   |    1 |", "s1 never got it"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/midgemq/midge/interop/internal/harness"
)

// The attacker is this program once more.
func TestMain(m *testing.M) {
	if os.Getenv(strikeEnv) == "" {
		os.Exit(m.Run())
	}
	if err := struck(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// The short form: every attack, small and brief. What counts holds; how long the
// bystander's messages take is for the long form to say.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds for each attack")
	}
	midge := filepath.Join(t.TempDir(), "midge")
	if err := harness.Build(t.Context(), midge); err != nil {
		t.Fatal(err)
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			r, err := run(t.Context(), a, setting{
				midge: midge, dir: t.TempDir(), span: 3 * time.Second, size: 0.05, short: true, say: t.Logf,
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Fault != "" {
				t.Errorf("%s; the attacker was told %v", r.Fault, r.Told)
			}
		})
	}
}

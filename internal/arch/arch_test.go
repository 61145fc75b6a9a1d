package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/midgemq/midge"

// arrows says which of our packages each may import, directly. A package that
// is not here fails the test: say where it stands before it is used.
var arrows = map[string][]string{
	"mqtt":   {},
	"packet": {"mqtt"},
	"topic":  {"mqtt"},
	"flow":   {"mqtt"},
	"link":   {"mqtt", "packet", "flow", "topic"},

	"internal/index": {},
	"internal/arch":  {},
	"transport":      {},

	"":        {"mqtt", "packet", "topic", "flow", "link", "transport", "internal/index"}, // midge itself
	"conform": {"mqtt", "packet", "topic", "transport"},

	"cmd/midge": {"", "conform", "transport", "mqtt"},
}

// core is what a microcontroller runs.
var core = []string{"mqtt", "packet", "topic", "flow", "link"}

// impure are packages the core may not reach, not even through others.
var impure = map[string]string{
	"fmt":           "30 KB of flash, and it allocates",
	"reflect":       "weight, and code nobody sees called",
	"net":           "bytes come in as arguments",
	"os":            "there may be none",
	"log":           "the edge logs, once",
	"log/slog":      "the edge logs, once; it pulls in fmt, reflect and encoding/json",
	"encoding/json": "weight, reflection",
	"context":       "nothing here blocks",
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T, pattern string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", pattern)
	cmd.Dir = "../.."
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errs.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		err := dec.Decode(&l)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
}

// ours returns a package's place in the module: "" for the root.
func ours(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, module)
	return strings.TrimPrefix(rest, "/"), ok
}

func TestArrowsPointDown(t *testing.T) {
	seen := 0
	for _, p := range list(t, "./...") {
		name, _ := ours(p.ImportPath)
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %q has no place in the list of arrows", name)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if to, ok := ours(imp); ok && !slices.Contains(allowed, to) {
				t.Errorf("%q imports %q, which is not below it", name, to)
			}
		}
	}
	if seen < len(core) {
		t.Errorf("only %d packages were looked at", seen)
	}
}

func TestCoreIsPure(t *testing.T) {
	for _, name := range core {
		for _, p := range list(t, "./"+name) {
			for _, dep := range p.Deps {
				if why, bad := impure[dep]; bad {
					t.Errorf("%s reaches %s: %s", name, dep, why)
				}
			}
		}
	}
}

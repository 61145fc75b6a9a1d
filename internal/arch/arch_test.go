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
// is not here fails the test: say where it stands before it is used. A room
// that has a row and no package yet is skipped until somebody moves in.
var arrows = map[string][]string{
	"mqtt":   {},
	"packet": {"mqtt"},
	"topic":  {"mqtt"},
	"flow":   {"mqtt"},
	"link":   {"mqtt", "packet", "flow", "topic"},

	"telemetry":          {"", "admin", "mqtt", "trace"},
	"trace":              {"mqtt", "packet", "topic"},
	"internal/index":     {},
	"internal/readbuf":   {},
	"internal/systemd":   {},
	"internal/man":       {},
	"internal/mosquitto": {"internal/config"},
	"internal/config":    {"", "trace", "telemetry", "protect", "mqtt", "auth", "transport", "store/disk"},
	"internal/vfs":       {},
	"internal/arch":      {},
	"internal/top":       {"admin"},
	"internal/screen":    {},
	"internal/record":    {"internal/screen", "client", "mqtt", "packet"},
	"internal/flight":    {},
	"internal/gate":      {},
	"transport":          {},

	"":        {"mqtt", "packet", "topic", "flow", "link", "store", "transport", "internal/index", "internal/readbuf", "trace"}, // midge itself
	"conform": {"mqtt"},                                                                                                         // docs/decisions/0004
	"bench":   {"mqtt", "packet", "topic", "flow", "link", "transport"},

	"cmd/midge": {"", "admin", "internal/top", "protect", "bench", "tiny", "tiny/host", "conform", "transport", "mqtt", "client", "topic", "store", "store/disk", "auth", "auth/jwt", "auth/web", "internal/systemd", "internal/config", "internal/mosquitto", "internal/man", "trace", "telemetry"},

	"store":           {"mqtt"},
	"store/memory":    {"mqtt", "store"},
	"store/disk":      {"mqtt", "store", "internal/vfs"},
	"store/storetest": {"mqtt", "store", "store/memory"},

	"internal/faultdisk": {"internal/vfs"},
	"internal/sim": {
		"", "tiny", "tiny/host", "client", "mqtt", "packet", "topic", "transport", "store", "store/disk", "internal/faultdisk",
	},

	"admin":   {"", "mqtt", "protect", "trace"},
	"protect": {"", "mqtt"},

	"auth":       {"", "mqtt", "topic", "auth/scram", "internal/flight", "internal/gate"},
	"auth/scram": {},
	"auth/jwt":   {"", "auth", "mqtt"},
	"auth/web":   {"", "auth", "mqtt", "internal/flight", "internal/gate"},

	// Rooms that are planned.
	"tiny":      {"mqtt", "packet", "topic", "flow", "link"},
	"tiny/host": {"tiny", "transport"},
	"client":    {"mqtt", "packet", "topic", "flow", "link", "store", "transport", "internal/readbuf"},
}

// core is what a microcontroller runs.
var core = []string{"mqtt", "packet", "topic", "flow", "link", "tiny"}

// engines stand on one core and know nothing of each other: who runs one does
// not carry another.
var engines = []string{"", "tiny", "client"}

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

// packages lists the module's packages, tests left out, by their place.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = "../.."
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errs.String())
	}
	all := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		err := dec.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name, _ := ours(l.ImportPath)
		all[name] = l
	}
	// The least there is: less means that nothing was looked at.
	for _, name := range []string{"", "mqtt", "packet", "topic", "flow", "link"} {
		if _, ok := all[name]; !ok {
			t.Fatalf("go list does not know %q", name)
		}
	}
	return all
}

// ours returns a package's place in the module: "" for the root.
func ours(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func TestArrowsPointDown(t *testing.T) {
	for name, p := range packages(t) {
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %q has no place in the list of arrows", name)
			continue
		}
		for _, imp := range p.Imports {
			if to, ok := ours(imp); ok && !slices.Contains(allowed, to) {
				t.Errorf("%q imports %q, which is not below it", name, to)
			}
		}
	}
}

// The list itself could point upward; what is below a room cannot be above it.
func TestNoArrowTurnsRound(t *testing.T) {
	var visit func(name string, above []string)
	visit = func(name string, above []string) {
		if slices.Contains(above, name) {
			t.Fatalf("%q is above itself: %q", name, above)
		}
		for _, below := range arrows[name] {
			if _, known := arrows[below]; !known {
				t.Errorf("%q may import %q, which is no room", name, below)
			}
			visit(below, append(slices.Clone(above), name))
		}
	}
	for name := range arrows {
		visit(name, nil)
	}
}

func TestEnginesAreStrangers(t *testing.T) {
	all := packages(t)
	for _, name := range engines {
		for _, dep := range all[name].Deps {
			if to, ok := ours(dep); ok && to != name && slices.Contains(engines, to) {
				t.Errorf("%q reaches %q", name, to)
			}
		}
	}
}

func TestCoreIsPure(t *testing.T) {
	all := packages(t)
	for _, name := range core {
		p, built := all[name]
		if !built {
			t.Logf("%s does not exist yet", name)
			continue
		}
		for _, dep := range p.Deps {
			if why, bad := impure[dep]; bad {
				t.Errorf("%s reaches %s: %s", name, dep, why)
			}
		}
	}
}

package arch

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A unit is what go list says of a package built for some system.
type unit struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	Error           *struct{ Err string }
}

// race is set where the detector makes everything five times slower.
var race bool

// midge is sound on every system that scripts/release.sh builds it for. Types
// alone are looked at, from the sources: a compiler wants half a minute a
// system, this two seconds.
func TestSoundElsewhere(t *testing.T) {
	if race {
		t.Skip("runs without the race detector")
	}
	script, err := os.ReadFile("../../scripts/release.sh")
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`\b(linux|darwin|windows)/([a-z0-9]+)`).FindAllStringSubmatch(string(script), -1)
	seen := map[string]bool{}
	for _, m := range targets {
		if seen[m[0]] {
			continue
		}
		seen[m[0]] = true
		t.Run(m[0], func(t *testing.T) { sound(t, m[1], m[2]) })
	}
	if len(seen) < 8 {
		t.Errorf("scripts/release.sh names %d systems", len(seen))
	}
}

func sound(t *testing.T, system, arch string) {
	list := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Error", "./cmd/midge")
	list.Dir = filepath.Join("..", "..")
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	// Dependencies come before those who need them.
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var u unit
		if err := d.Decode(&u); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if u.Error != nil {
			t.Fatal(u.Error.Err)
		}
		if u.ImportPath != "unsafe" {
			done[u.ImportPath] = check(t, u, arch, done)
		}
	}
	if done[module] == nil {
		t.Error("midge is not a part of cmd/midge")
	}
}

func check(t *testing.T, u unit, arch string, done map[string]*types.Package) *types.Package {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range u.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(u.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	_, own := ours(u.ImportPath)
	cfg := types.Config{
		IgnoreFuncBodies: !own, // others are looked after by others
		Sizes:            types.SizesFor("gc", arch),
		Importer: importer(func(path string) *types.Package {
			if vendored, ok := u.ImportMap[path]; ok {
				path = vendored
			}
			return done[path]
		}),
		Error: func(err error) {
			if own {
				t.Error(err)
			}
		},
	}
	p, _ := cfg.Check(u.ImportPath, fset, files, nil)
	return p
}

type importer func(path string) *types.Package

func (f importer) Import(path string) (*types.Package, error) {
	if p := f(path); p != nil {
		return p, nil
	}
	return nil, errors.New(path + " is not there")
}

package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A source is one parsed file of the module.
type source struct {
	path  string // from the module's root
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }
func (s source) dir() string {
	return strings.TrimPrefix(filepath.ToSlash(filepath.Dir(s.path)), ".")
}

// local returns what the file calls an imported package, "" if it does not
// import it.
func (s source) local(path string) string {
	for _, imp := range s.file.Imports {
		if strings.Trim(imp.Path.Value, "\"") != path {
			continue
		}
		if imp.Name != nil {
			return imp.Name.Name
		}
		return filepath.Base(path)
	}
	return ""
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".git") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		rel, _ := filepath.Rel("../..", path)
		all = append(all, source{rel, fset, file, strings.Count(string(text), "\n")})
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	return all
}

// The core starts no goroutine and reads no clock: time is handed in.
func TestCoreHasNoClock(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
	for _, s := range sources(t) {
		if s.test() || !slices.Contains(core, s.dir()) {
			continue
		}
		local := s.local("time")
		if local == "." {
			t.Errorf("%s imports time without its name", s.path)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%v: a goroutine", s.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == local && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%v: time.%s", s.fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

const (
	maxFunction = 70  // lines
	maxFile     = 500 // lines
)

func TestFunctionsFitAScreen(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		if s.lines > maxFile {
			t.Errorf("%s has %d lines, more than %d: is it one concern?", s.path, s.lines, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s takes %d lines, more than %d", s.path, f.Name.Name, n, maxFunction)
			}
		}
	}
}

// Tests wait for conditions or in fake time.
func TestNoTestSleeps(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				t.Errorf("%v: a test sleeps", s.fset.Position(n.Pos()))
			}
			return true
		})
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.file.Name.Name == "main" {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && !wellKnown[d.Name.Name] && d.Doc == nil && exportedReceiver(d) && !follows(s, d.Pos()) {
					t.Errorf("%v: %s has no comment", s.fset.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, name := range undocumented(d) {
					t.Errorf("%v: %s has no comment", s.fset.Position(name.Pos()), name.Name)
				}
			}
		}
	}
}

// undocumented returns the exported names of a declaration that neither they
// nor their group explains. The values of an exported type of our own are
// explained where the type is.
func undocumented(d *ast.GenDecl) (names []*ast.Ident) {
	if d.Doc != nil {
		return nil
	}
	var kind ast.Expr // of a constant; those behind it inherit it
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if spec.Name.IsExported() && spec.Doc == nil {
				names = append(names, spec.Name)
			}
		case *ast.ValueSpec:
			if spec.Type != nil || spec.Values != nil {
				kind = spec.Type
			}
			if id, ok := kind.(*ast.Ident); spec.Doc != nil || spec.Comment != nil || ok && id.IsExported() {
				continue
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// wellKnown are methods whose interface says what they do.
var wellKnown = map[string]bool{"String": true, "Error": true, "Addr": true}

func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	name := f.Recv.List[0].Type
	for {
		switch x := name.(type) {
		case *ast.StarExpr:
			name = x.X
		case *ast.IndexExpr:
			name = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// follows reports whether a declaration stands on the line below another one:
// a run of one-liners shares the comment above it.
func follows(s source, pos token.Pos) bool {
	line := s.fset.Position(pos).Line
	for _, d := range s.file.Decls {
		if s.fset.Position(d.End()).Line == line-1 {
			return true
		}
	}
	return false
}

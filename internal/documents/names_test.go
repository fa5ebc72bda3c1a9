package documents

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	filePath = regexp.MustCompile(`^(?:\./)?([\w-]+)/[\w./-]*$`)
	goName   = regexp.MustCompile(`^\*?([A-Za-z]\w*)\.([A-Z]\w*)`)
)

// TestFilesInThePagesExist holds that a file or folder that a page names exists. What begins with
// a folder of the repository, or of the page's own, is taken for one.
func TestFilesInThePagesExist(t *testing.T) {
	for _, page := range All(t) {
		for _, span := range page.Spans {
			match := filePath.FindStringSubmatch(span.Text)
			if match == nil || match[1] == "build" || match[1] == "dist" {
				continue
			}
			exists, inFolder := false, false
			for _, folder := range []string{".", path.Dir(page.Path)} {
				inFolder = inFolder || isFile(t, path.Join(folder, match[1]))
				exists = exists || isFile(t, path.Join(folder, span.Text))
			}
			if inFolder && !exists {
				t.Errorf("%s: there is no %s", span.Place, span.Text)
			}
		}
	}
}

func isFile(t *testing.T, name string) bool {
	_, err := os.Stat(filepath.Join(Root(t), filepath.FromSlash(name)))
	return err == nil
}

// TestGoNamesInThePagesExist holds that what a page names in Go exists: what a package of this
// module exports, as in `streaming.EventSet`, and the fields and methods of the types, as in
// `Socket.Join`. Names of other packages are passed over.
func TestGoNamesInThePagesExist(t *testing.T) {
	owners, names := declared(t)
	seen := 0
	for _, page := range Manual(t) {
		for _, span := range page.Spans {
			match := goName.FindStringSubmatch(span.Text)
			if match == nil || !owners[match[1]] {
				continue
			}
			seen++
			if !names[match[1]+"."+match[2]] {
				t.Errorf("%s: there is no %s.%s", span.Place, match[1], match[2])
			}
		}
	}
	if seen == 0 {
		t.Error("no page names anything in Go")
	}
}

// declared returns the packages and types of this module, and with a dot in between what they have.
func declared(t *testing.T) (owners, names map[string]bool) {
	t.Helper()
	owners, names = make(map[string]bool), make(map[string]bool)
	eachFile(t, func(file *ast.File) {
		for _, declaration := range file.Decls {
			addDeclaration(declaration, file.Name.Name, func(owner, name string) {
				owners[owner] = true
				names[owner+"."+name] = true
			})
		}
	})
	return owners, names
}

// eachFile calls visit with every file in Go of this module but tests.
func eachFile(t *testing.T, visit func(file *ast.File)) {
	t.Helper()
	files := token.NewFileSet()
	err := filepath.WalkDir(Root(t), func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (skipped[entry.Name()] || entry.Name() == "bench" || entry.Name() == "e2e"):
			return filepath.SkipDir
		case entry.IsDir() || path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		source, err := parser.ParseFile(files, file, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(source)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func addDeclaration(declaration ast.Decl, in string, add func(owner, name string)) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			add(in, d.Name.Name)
			return
		}
		receiver := d.Recv.List[0].Type
		if pointer, ok := receiver.(*ast.StarExpr); ok {
			receiver = pointer.X
		}
		if generic, ok := receiver.(*ast.IndexExpr); ok {
			receiver = generic.X
		}
		if name, ok := receiver.(*ast.Ident); ok {
			add(name.Name, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					add(in, name.Name)
				}
			case *ast.TypeSpec:
				add(in, spec.Name.Name)
				for _, field := range fieldsOf(spec.Type) {
					for _, name := range field.Names {
						add(spec.Name.Name, name.Name)
					}
				}
			}
		}
	}
}

func fieldsOf(of ast.Expr) []*ast.Field {
	switch of := of.(type) {
	case *ast.StructType:
		return of.Fields.List
	case *ast.InterfaceType:
		return of.Methods.List
	}
	return nil
}

// TestExamplesInGo holds that a whole file in Go that a page shows is that of an example, which is
// compiled and tested as all the rest. Decisions show what was tried at their time.
func TestExamplesInGo(t *testing.T) {
	for _, block := range Blocks(t, "go") {
		name, isFile := strings.CutPrefix(block.Text, "package ")
		if !isFile || strings.HasPrefix(block.Place, "docs/decisions/") {
			continue
		}
		name, _, _ = strings.Cut(name, "\n")
		file := path.Join("examples", name, name+".go")
		_, example, _ := strings.Cut(read(t, file), "\npackage ")
		if "package "+example != block.Text {
			t.Errorf("%s and %s differ", block.Place, file)
		}
	}
}

package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows is who may import whom: the folders of the house, one way.
var arrows = map[string][]string{
	"cmd":     {"admin", "authz", "store", "limiter"},
	"admin":   {"store", "limiter"},
	"authz":   {"store", "limiter"},
	"store":   {"limiter"},
	"limiter": {},
	"test":    {},
}

// floor is what the bench compares with: a bare server of the library that authz answers with. Of the folder test, it alone speaks to a library.
const floor = "tpgate/test/bench/floor"

// bcryptLibrary is what PHP has hashed the keys with that the import tests move in.
const bcryptLibrary = "golang.org/x/crypto/bcrypt"

// only is where a library may be spoken to: folders, or single packages.
var only = map[string][]string{
	"github.com/valyala/fasthttp":  {"authz", floor},
	"github.com/redis/go-redis":    {"store", "limiter"},
	"github.com/go-redis/":         {"limiter"},
	"go.etcd.io/bbolt":             {"store"},
	"github.com/prometheus/client": {"cmd", "admin", "authz", "store"},
}

// TestArrows holds the imports of all packages, tests included, to the tables above.
func TestArrows(t *testing.T) {
	packages := listPackages(t)
	if len(packages) < len(arrows) {
		t.Fatalf("go list knows only %d packages", len(packages))
	}
	for _, p := range packages {
		folder := folderOf(p.ImportPath)
		allowed, known := arrows[folder]
		if !known {
			t.Errorf("%s: the folder %s has no arrows yet", p.ImportPath, folder)
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if target := folderOf(imported); target != "" && target != folder && !slices.Contains(allowed, target) {
				t.Errorf("%s imports %s: from %s the arrows lead to %v only", p.ImportPath, imported, folder, allowed)
			}
			for library, places := range only {
				if strings.HasPrefix(imported, library) && !slices.Contains(places, folder) && !slices.Contains(places, p.ImportPath) {
					t.Errorf("%s imports %s: only %v may", p.ImportPath, imported, places)
				}
			}
			if folder == "test" && p.ImportPath != floor && imported != bcryptLibrary && strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("test imports %s: it needs the standard library only", imported)
			}
		}
	}
}

// folderOf is the first folder of one of our packages, "" for others'.
func folderOf(importPath string) string {
	rest, ours := strings.CutPrefix(importPath, "tpgate/")
	if !ours {
		return ""
	}
	folder, _, _ := strings.Cut(rest, "/")
	return folder
}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	list.Dir = ".."
	text, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(text))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		packages = append(packages, p)
	}
}

package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
)

// layers has the layer of each package. A package imports only from layers below its own.
var layers = map[string]int{
	"internal/duration": 0, "internal/plural": 0,
	"internal/gunzip": 1, "internal/bunzip2": 1, "internal/unxz": 1, "internal/unframe": 1, "internal/rewind": 1, "internal/record": 1, "internal/files": 1, "internal/privilege": 1,
	"stream":           2,
	"internal/frame":   3,
	"internal/archive": 4, "internal/compare": 4, "internal/duplicates": 4, "internal/filter": 4, "internal/merge": 4, "internal/rewrite": 4, "internal/schedule": 4, "internal/survey": 4, "internal/tunnel": 4, "internal/wire": 4,
	"internal/chart": 5,
	"internal/tool":  6,
	"internal/input": 7,
	"cmd/pcap-tarls": 8, "cmd/pcap-tarcat": 8, "cmd/pcap-map": 8, "cmd/pcap-merge": 8, "cmd/pcap-pace": 8, "cmd/pcap-inject": 8,
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir  string
	GoFiles, Imports []string
	DepOnly          bool
}

// listPackages lists packages, or what they depend on as well.
func listPackages(t *testing.T, args ...string) (packages []listed) {
	t.Helper()
	output, err := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,DepOnly"}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

const module = "pcap-replay/"

// Imports run downwards only.
func TestImportsRunDownwards(t *testing.T) {
	var tools []string
	for _, tool := range lab.Tools {
		tools = append(tools, module+"cmd/"+tool)
	}
	seen := 0
	for _, p := range listPackages(t, append([]string{"-deps"}, tools...)...) {
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		seen++
		layer, known := layers[name]
		if !known {
			t.Errorf("%s has no layer", name)
		}
		for _, imported := range p.Imports {
			if below, ours := strings.CutPrefix(imported, module); ours && layers[below] >= layer {
				t.Errorf("%s, on layer %d, imports %s, on layer %d", name, layer, below, layers[below])
			}
		}
	}
	if seen < len(lab.Tools)+10 { // or the list is not read right
		t.Errorf("only %d packages of ours are linked into the tools", seen)
	}
}

// A tool links only what it uses.
func TestToolsLinkWhatTheyUse(t *testing.T) {
	for tool, unused := range map[string][]string{
		"pcap-tarls":  {"net/http", "github.com/vishvananda/netlink", module + "internal/wire", module + "internal/schedule", module + "internal/merge", module + "internal/filter"},
		"pcap-tarcat": {"net/http", "github.com/vishvananda/netlink", module + "internal/wire", module + "internal/schedule", module + "internal/merge"},
		"pcap-map":    {"net/http", "github.com/vishvananda/netlink", module + "internal/wire", module + "internal/schedule", module + "internal/merge"},
		"pcap-merge":  {"net/http", "github.com/vishvananda/netlink", module + "internal/wire"},
		"pcap-pace":   {"net/http", "github.com/vishvananda/netlink", module + "internal/wire", module + "internal/merge"},
		"pcap-inject": {"net/http", module + "internal/merge", module + "internal/chart"},
	} {
		for _, p := range listPackages(t, "-deps", module+"cmd/"+tool) {
			if slices.Contains(unused, p.ImportPath) {
				t.Errorf("%s links %s", tool, p.ImportPath)
			}
		}
	}
}

// As make builds them, these tools have at most so many bytes.
func TestToolsAreSmall(t *testing.T) {
	lab.NeedToolsAsMade(t)
	for tool, most := range map[string]int64{"pcap-tarls": 6_000_000, "pcap-map": 6_000_000, "pcap-pace": 6_000_000, "pcap-inject": 7_000_000} {
		if info, err := os.Stat(filepath.Join(toolFolder, tool)); err != nil || info.Size() > most {
			t.Errorf("%s: %v, %d bytes, wanted at most %d", tool, err, info.Size(), most)
		}
	}
}

// No package has grown over 3,500 lines, but for the filter, and nothing embeds a run of a
// tool to inherit its methods.
func TestPackagesAreSmall(t *testing.T) {
	for _, p := range listPackages(t, module+"...") {
		lines := 0
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			lines += countLines(t, path)
			for _, embedded := range embeddedIn(t, path) {
				if embedded == "Run" {
					t.Errorf("%s embeds a run", path)
				}
			}
		}
		if lines > 3500 && p.ImportPath != module+"internal/filter" {
			t.Errorf("%s has %d lines", p.ImportPath, lines)
		}
	}
}

func countLines(t *testing.T, path string) (lines int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for scanner := bufio.NewScanner(file); scanner.Scan(); lines++ {
	}
	return lines
}

// embeddedIn returns the names of the types that structs of a file embed.
func embeddedIn(t *testing.T, path string) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if declared, ok := node.(*ast.StructType); ok {
			for _, field := range declared.Fields.List {
				if len(field.Names) == 0 {
					names = append(names, typeName(field.Type))
				}
			}
		}
		return true
	})
	return names
}

// typeName is the name of a type without the name of its package.
func typeName(typ ast.Expr) string {
	switch typ := typ.(type) {
	case *ast.StarExpr:
		return typeName(typ.X)
	case *ast.SelectorExpr:
		return typ.Sel.Name
	case *ast.Ident:
		return typ.Name
	}
	return ""
}

package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageFlag finds the flags that a page explains.
var pageFlag = regexp.MustCompile(`(?m)^\.It (Fl .*)$`)

// Every flag of a tool stands in its page, and none besides.
func TestPagesExplainTheFlags(t *testing.T) {
	for _, tool := range tools() {
		page, err := os.ReadFile(filepath.Join("../../man", tool.Name+".1"))
		if err != nil {
			t.Fatal(err)
		}
		explained := map[string]bool{}
		for _, line := range pageFlag.FindAllStringSubmatch(string(page), -1) {
			for _, part := range strings.Split(line[1], " , ") {
				name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(part, "Fl "), "Fl "), " ")
				explained[name] = true
			}
		}
		for _, flag := range tool.allFlags() {
			for _, name := range flag.Names() {
				if !explained[name] {
					t.Errorf("%s(1) does not explain %s", tool.Name, dashed(name))
				}
				delete(explained, name)
			}
		}
		for name := range explained {
			t.Errorf("%s(1) explains %s, which there is not", tool.Name, dashed(name))
		}
	}
}

package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mostTwice is how many lines of code may stand in two places. Longer runs are shared.
const mostTwice = 10

// No run of more than ten lines stands twice outside tests. Comments, blank lines and
// imports do not count, nor does indentation.
func TestNothingStandsTwice(t *testing.T) {
	type place struct {
		file string
		line int
	}
	places, files := map[string]place{}, 0
	for _, p := range listPackages(t, module+"...") {
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			files++
			code, lines := codeOf(t, path)
			for end := mostTwice + 1; end <= len(code); end++ {
				run := strings.Join(code[end-mostTwice-1:end], "\n")
				here := place{path, lines[end-mostTwice-1]}
				if there, twice := places[run]; twice {
					t.Errorf("%s:%d repeats %s:%d", here.file, here.line, there.file, there.line)
					break // and what follows, perhaps
				}
				places[run] = here
			}
		}
	}
	if files < 100 || len(places) < 10_000 { // or the list is not read right
		t.Errorf("only %d files with %d places", files, len(places))
	}
}

// codeOf gives the lines of a file that hold code, and their numbers.
func codeOf(t *testing.T, path string) (code []string, numbers []int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	imports := false
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "import (":
			imports = true
		case imports:
			imports = line != ")"
		case line != "" && !strings.HasPrefix(line, "//"):
			code, numbers = append(code, line), append(numbers, i+1)
		}
	}
	return code, numbers
}

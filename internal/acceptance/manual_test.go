package acceptance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
)

// escapes of mdoc(7) in examples, and what the reader sees.
var escapes = strings.NewReplacer(
	`\-`, `-`, `\e`, `\`, `\(aq`, `'`, `\(dq`, `"`, `\(bs`, `\`, `\(ti`, `~`, `\(ha`, `^`, `\(ga`, "`", `\&`, ``,
)

// pageDefault matches the default of a flag in a page.
var pageDefault = regexp.MustCompile(`(?s)\nThe default is (?:that )?(.*?)\.\n`)

// The pages give the same defaults as --help, and no others.
func TestPagesTellTheDefaults(t *testing.T) {
	for _, tool := range lab.Tools {
		page, err := os.ReadFile(filepath.Join("../../man", tool+".1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range completedFlags(t, tool) {
			if flag.long == "--help" {
				continue // the pages leave it out
			}
			_, item, ok := strings.Cut(string(page), "\n.It Fl Fl "+flag.long[2:])
			if !ok {
				t.Fatalf("%s(1) does not explain %s", tool, flag.long)
			}
			item, _, _ = strings.Cut(item, "\n.It ")
			item, _, _ = strings.Cut(item, "\n.El\n")
			said := ""
			if found := pageDefault.FindStringSubmatch(item + "\n"); found != nil {
				said = escapes.Replace(found[1])
			}
			if said != flag.fallback {
				t.Errorf("%s(1) tells that the default of %s is %q, and it is %q", tool, flag.long, said, flag.fallback)
			}
		}
	}
}

// pageFlag matches the flags that a page explains.
var pageFlag = regexp.MustCompile(`(?m)^\.It (Fl .*)$`)

// The page of a tool explains all of its flags, and no others.
func TestPagesExplainTheFlags(t *testing.T) {
	for _, tool := range lab.Tools {
		page, err := os.ReadFile(filepath.Join("../../man", tool+".1"))
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
		for _, flag := range completedFlags(t, tool) {
			if flag.long == "--help" {
				continue // the pages leave it out
			}
			for _, dashed := range flag.names() {
				name := strings.TrimLeft(dashed, "-")
				if !explained[name] {
					t.Errorf("%s(1) does not explain %s", tool, dashed)
				}
				delete(explained, name)
			}
		}
		for name := range explained {
			t.Errorf("%s(1) explains the flag %s, which there is not", tool, name)
		}
	}
}

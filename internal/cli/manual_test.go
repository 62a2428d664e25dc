package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// escapes of mdoc(7) that stand in examples, and what the reader sees.
var escapes = strings.NewReplacer(
	`\-`, `-`, `\e`, `\`, `\(aq`, `'`, `\(dq`, `"`, `\(bs`, `\`, `\(ti`, `~`, `\(ha`, `^`, `\(ga`, "`", `\&`, ``,
)

// pageDefault finds the default that a page tells of a flag.
var pageDefault = regexp.MustCompile(`(?s)\nThe default is (?:that )?(.*?)\.\n`)

// Every default that --help tells stands in the page, and none besides.
func TestPagesTellTheDefaults(t *testing.T) {
	for _, tool := range tools() {
		page, err := os.ReadFile(filepath.Join("../../man", tool.Name+".1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range tool.allFlags() {
			_, item, ok := strings.Cut(string(page), "\n.It Fl Fl "+flag.Names()[0])
			if !ok {
				t.Fatalf("%s(1) does not explain --%s", tool.Name, flag.Names()[0])
			}
			item, _, _ = strings.Cut(item, "\n.It ")
			item, _, _ = strings.Cut(item, "\n.El\n")
			said, wanted := "", ""
			if found := pageDefault.FindStringSubmatch(item + "\n"); found != nil {
				said = escapes.Replace(found[1])
			}
			if _, is := flag.(*cli.BoolFlag); !is {
				wanted = strings.Trim(flag.(cli.DocGenerationFlag).GetDefaultText(), `"`)
			}
			if said != wanted {
				t.Errorf("%s(1) tells that the default of --%s is %q, and it is %q", tool.Name, flag.Names()[0], said, wanted)
			}
		}
	}
}

// explainedValue finds values that stand as examples.
var explainedValue = regexp.MustCompile(`(?m)^\.Ql (.+) [,;.]$`)

// Values are read as pcap-replay(7) says that they are written.
func TestTheValuesOfThePageAreRead(t *testing.T) {
	page, err := os.ReadFile("../../man/pcap-replay.7")
	if err != nil {
		t.Fatal(err)
	}
	_, values, _ := strings.Cut(string(page), "\n.Sh VALUES\n")
	values, _, _ = strings.Cut(values, "\n.Sh ")
	read := map[string]func(text string) error{
		"time":     func(text string) error { _, err := parseTime("value", text); return err },
		"duration": func(text string) error { _, err := parseDuration("value", text); return err },
		"size":     func(text string) error { _, err := parseSize("value", text); return err },
		"rate":     func(text string) error { _, err := parseRate("value", text); return err },
	}
	for _, item := range strings.Split(values, "\n.It ")[1:] {
		kind, text, _ := strings.Cut(item, "\n")
		if read[kind] == nil {
			continue
		}
		found := explainedValue.FindAllStringSubmatch(text, -1)
		if len(found) < 4 {
			t.Errorf("%s has %d examples, wanted 4 or more", kind, len(found))
		}
		for _, groups := range found {
			if err := read[kind](groups[1]); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		delete(read, kind)
	}
	for kind := range read {
		t.Errorf("no word of %ss", kind)
	}
}

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

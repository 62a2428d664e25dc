package tool

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

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
		"time":     func(text string) error { _, err := ParseTime("value", text); return err },
		"duration": func(text string) error { _, err := ParseDuration("value", text); return err },
		"size":     func(text string) error { _, err := ParseSize("value", text); return err },
		"rate":     func(text string) error { _, err := ParseRate("value", text); return err },
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

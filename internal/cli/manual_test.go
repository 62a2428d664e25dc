package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pcap-replay/internal/record"
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

// Every field of a record stands in pcap-records(5).
func TestThePageExplainsTheRecords(t *testing.T) {
	page, err := os.ReadFile("../../man/pcap-records.5")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, word := range regexp.MustCompile(`[a-z0-9_]+`).FindAllString(string(page), -1) {
		words[word] = true
	}
	for _, example := range []any{
		record.Capture{}, record.Member{}, record.Damage{}, record.Damaged{}, record.Failed{}, record.Skipped{}, record.Summary{},
		injectSummary{}, underrunEvent{}, latenessRecord{}, skippedRecord{}, deviceRecord{},
	} {
		fields := reflect.TypeOf(example)
		for i := range fields.NumField() {
			name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
			if name != "" && !words[name] {
				t.Errorf("pcap-records(5) does not explain %s of %s", name, fields.Name())
			}
		}
	}
}

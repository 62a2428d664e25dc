package chart

import (
	"strings"
	"testing"

	"pcap-replay/internal/record"
)

// The folder of all captures is named once.
func TestTableNamesTheFolderOnce(t *testing.T) {
	for _, c := range []struct{ first, second, folder, name string }{
		{"/data/day/a.pcap", "/data/day/sub/b.pcap", "/data/day:", "sub/b.pcap"},
		{"/data/day/a.pcap", "/data/days/b.pcap", "/data:", "days/b.pcap"},
		{"/a.pcap", "/b.pcap", "/:", "b.pcap"},
		{"a.pcap", "day/b.pcap", "", "day/b.pcap"},
	} {
		var table Table
		table.Add(&record.Capture{Path: c.first})
		table.Add(&record.Capture{Path: c.second})
		var page strings.Builder
		if err := table.WriteText(&page, 80); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(page.String(), "\n")
		if c.folder != "" {
			if lines[0] != c.folder {
				t.Errorf("%s and %s: begins with %q, wanted %q", c.first, c.second, lines[0], c.folder)
			}
			lines = lines[1:]
		}
		if name, _, _ := strings.Cut(lines[2], " "); name != c.name {
			t.Errorf("%s and %s: the name is %q, wanted %q", c.first, c.second, name, c.name)
		}
	}
}

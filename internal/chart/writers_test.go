package chart

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// rotation is the rows of a set: so many files of each writer, which rotate out of step.
func rotation(writers, files int, name func(writer, file int) string) *Picture {
	p := &Picture{}
	for writer := range writers {
		for file := range files {
			start := int64(file*(100+writer) + writer)
			p.rows = append(p.rows, captureRow{name: name(writer, file), timed: true, start: start, end: start + int64(90+writer), packets: 1})
		}
	}
	return p
}

// A set of rotating writers has a line for each writer, wherever its name stands, and also
// if only the times tell who wrote a file.
func TestWriters(t *testing.T) {
	for _, c := range []struct {
		name func(writer, file int) string
		want string
	}{
		{func(w, f int) string { return fmt.Sprintf("set/worker%d-%04d.pcap", w, f) }, "set/worker0-*.pcap (50)"},
		{func(w, f int) string { return fmt.Sprintf("set/%04d.worker%d.pcap", f, w) }, "set/*.worker0.pcap (50)"},
		{func(w, f int) string { return fmt.Sprintf("%c/2020-09-13-12:%02d:%02d.pcap", 'a'+w, f/60, f%60) }, "a/2020-09-13-12:00:*.pcap (50)"},
		{func(w, f int) string { return fmt.Sprintf("10.0.%d.7/2020-09-%02d.pcap", w, f) }, "10.0.0.7/2020-09-*.pcap (50)"},
		{func(w, f int) string { return fmt.Sprintf("node-170921-%08d.pcap", f*8+w) }, "node-170921-*.pcap #1 ("},
	} {
		p := rotation(8, 50, c.name)
		groups := p.groups(60, 2000)
		if len(groups) != 8 || !strings.HasPrefix(groups[0].name, c.want) {
			var names []string
			for _, group := range groups {
				names = append(names, group.name)
			}
			t.Errorf("%s: %d lines, wanted 8 and %q:\n%s", c.name(3, 4), len(groups), c.want, strings.Join(names, "\n"))
		}
		if lines := p.groups(0, 0); len(lines) != 400 || lines[17].name != p.rows[17].name {
			t.Errorf("%s: %d lines without a limit", c.name(3, 4), len(lines))
		}
		if shared := p.groups(3, 3); len(shared) != 3 || !strings.Contains(shared[0].label("set/"), ") +") {
			t.Errorf("%s: %d lines of 3: %q", c.name(3, 4), len(shared), shared[0].label("set/"))
		}
	}
}

// Every capture is in one line, and no captures of a writer overlap, for any times.
func TestWritersOfAnyTimes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		p := &Picture{}
		for i := range 1 + random.IntN(60) {
			start := random.Int64N(1000) - 500
			p.rows = append(p.rows, captureRow{
				name:  fmt.Sprintf("%s%d-%d.pcap", []string{"a", "b"}[random.IntN(2)], random.IntN(3), i),
				timed: random.IntN(9) > 0, start: start, end: start + random.Int64N(200),
			})
		}
		var names, got []string
		for _, row := range p.rows {
			names = append(names, row.name)
		}
		for _, group := range p.writers() {
			if overlap(group.rows) {
				t.Errorf("%s: overlap of %v", group.name, group.rows)
			}
			for _, row := range group.rows {
				got = append(got, row.name)
			}
		}
		slices.Sort(names)
		slices.Sort(got)
		if !slices.Equal(names, got) {
			t.Errorf("got %v, wanted %v", got, names)
		}
	}
}

// The legend of an SVG says what the height of a bar means.
func TestLegend(t *testing.T) {
	var page strings.Builder
	if err := pictureOf([]string{"a", "b"}, 0, 4).WriteSVG(&page); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.String(), ">a bar of this height is 149 packets/s; ") {
		t.Error(page.String())
	}
}

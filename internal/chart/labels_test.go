package chart

import (
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
)

// A picture of many years has marks at their beginnings.
func TestYearTicks(t *testing.T) {
	date := func(year int, month time.Month) int64 {
		return time.Date(year, month, 3, 0, 0, 0, 0, time.UTC).UnixNano()
	}
	for _, c := range []struct {
		from, to   int64
		characters int
		want       string
	}{
		{date(1999, 6), date(2004, 6), 60, "2000 2001 2002 2003 2004"},
		{date(1999, 6), date(2020, 6), 40, "2000 2005 2010 2015 2020"},
		{-1 << 63, 1<<63 - 1, 40, "1700 1800 1900 2000 2100 2200"},
	} {
		p := Picture{start: c.from, end: c.to}
		var labels []string
		for _, mark := range p.ticks(c.characters) {
			labels = append(labels, mark.label)
			if at := time.Unix(0, mark.time).UTC(); at.YearDay() != 1 || at.Hour() != 0 {
				t.Errorf("%s is at %v", mark.label, at)
			}
		}
		if got := strings.Join(labels, " "); got != c.want {
			t.Errorf("%d to %d: %s, wanted %s", c.from, c.to, got, c.want)
		}
	}
}

// Names are cut in the middle, where those of rotating writers are the same.
func TestFitName(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		want  string
	}{
		{"a.pcap", 8, "a.pcap  "},
		{"a.pcap", 6, "a.pcap"},
		{"worker1-capture-2020-09-13-12.pcap", 17, "worker1-…-12.pcap"},
		{"worker2-capture-2020-09-13-12.pcap", 17, "worker2-…-12.pcap"},
		{"worker1-capture-2020-09-13-12.pcap", 1, "…"},
		{"日本語日本語.pcap", 8, "日本…cap"},
	} {
		if got := fitName(c.name, c.width); got != c.want || uniseg.StringWidth(got) != c.width {
			t.Errorf("%q in %d columns: %q, wanted %q", c.name, c.width, got, c.want)
		}
	}
}

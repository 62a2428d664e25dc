package stream_test

import (
	"os"
	"path/filepath"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// TestCases reads small captures that stand beside the corpus. Each is one of a kind that
// readers get wrong.
func TestCases(t *testing.T) {
	cases := filepath.Join(filepath.Dir(lab.Corpus(t)), "cases")
	for name, want := range map[string]struct {
		packets int
		lastAt  string // unless it is of no interest
		damage  int    // damaged places
	}{
		"intact-clock-set-by-ntp.pcap":             {8, "1600000000.007007000", 0},
		"intact-jump-1970-2020.pcap":               {200, "1600000001.099007000", 0},
		"intact-merge-a.pcap":                      {3, "", 0},
		"intact-merge-b.pcap":                      {10, "", 0},
		"intact-merge-c.pcap":                      {300, "", 0},
		"intact-fraction-over-a-second-first.pcap": {81, "", 0},
		"intact-fraction-and-year.pcap":            {200, "", 0},
		"nano_in_micro.pcap":                       {3, "", 0},
		"damaged-zero-header.pcap":                 {199, "1600000199.199000000", 1},
		"damaged-zero-64.pcap":                     {199, "1600000199.199000000", 1},
		"damaged-gap-360-days.pcap":                {199, "", 1},
		"damaged-gap-366-days.pcap":                {199, "", 1},
		"damaged-year-gap.pcap":                    {199, "", 1},
		"tail-of-zeros.pcap.gz":                    {100, "1600000009.900000000", 1},
		"damaged-false-block.pcapng":               {299, "", 1},
		"damaged-bit13.pcapng":                     {299, "", 1},
	} {
		path := filepath.Join(cases, name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("no captures beside the corpus: %v", err)
		}
		got := readFile(t, path, 64, stream.DefaultBlockSize, whole)
		if got.err != nil || got.packets != want.packets || len(got.damage) != want.damage || want.lastAt != "" && got.lastAt != want.lastAt {
			t.Errorf("%s: %d packets to %s, damage %q, error %v; wanted %d packets to %s", name, got.packets, got.lastAt, got.damage, got.err, want.packets, want.lastAt)
		}
	}
}

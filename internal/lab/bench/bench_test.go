//go:build linux

package main

import (
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/lab"
)

func TestClaims(t *testing.T) {
	results := []result{
		{Contender: "ours", Median: map[string]float64{"time": 2}},
		{Contender: "slow", Median: map[string]float64{"time": 6}},
		{Contender: "slower", Median: map[string]float64{"time": 10}},
	}
	for _, test := range []struct {
		text  string
		value float64
		holds bool
	}{
		{"time slow/ours >= 2.8", 3, true},
		{"time slow/ours >= 3.1", 3, false},
		{"time ours/slow|slower <= 0.2", 0.2, true},
		{"time ours|slow <= 5.9", 6, false},
	} {
		claim, err := parseClaim(test.text)
		if err != nil {
			t.Error(err)
			continue
		}
		v, ok := claim.check(results)
		if !ok || v.Value != test.value || v.Holds != test.holds {
			t.Errorf("%s: got %v, %v, %v", test.text, v.Value, v.Holds, ok)
		}
	}
	for _, text := range []string{"", "time a/b", "time a/b > 3", "time a/b >= three"} {
		if _, err := parseClaim(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	absent, err := parseClaim("time absent/ours >= 1")
	if _, ok := absent.check(results); err != nil || ok {
		t.Errorf("a contender that does not take part was judged; error: %v", err)
	}
}

// Packets that come 10 us late from the second half on, but for one that comes on
// time and one that is missing.
func TestGapFigures(t *testing.T) {
	source := lab.Packets(1000, lab.Start, time.Millisecond, 60)
	arrived := slices.Clone(source)
	for i := range source {
		arrived[i].Time += 5e6
		if i >= 500 && i != 700 {
			arrived[i].Time += 10e3
		}
	}
	got, err := gapFigures(source, slices.Delete(arrived, 300, 301))
	if err != nil {
		t.Fatal(err)
	}
	want := []float64{0, 0, 10, 10, 0, 10, 10, 1} // 3 gaps are wrong, and 500 of 999 packets are on time
	for i := range want {
		if math.Abs(got[i]-want[i]) > 0.01 { // the histogram has three digits
			t.Errorf("figure %d: got %v, wanted %v", i, got[i], want[i])
		}
	}
}

func TestSetIsOfTheSizeAndCountWanted(t *testing.T) {
	folder := t.TempDir()
	if err := makeSet(folder, 2000000, 35, 0); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.pcap"))
	if err != nil || len(files) != 35 {
		t.Fatalf("wanted 35 files, got %d; error: %v", len(files), err)
	}
	size, seen := 0, map[int64]bool{}
	for _, name := range files {
		packets, err := readFrames(name)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for _, packet := range packets {
			if packet.Time < last || seen[packet.Time] {
				t.Fatalf("%s: time %d comes twice or is out of order", name, packet.Time)
			}
			seen[packet.Time], last = true, packet.Time
			size += 16 + len(packet.Data)
		}
	}
	if size < 2000000 || size > 2002000 {
		t.Errorf("wanted 2000000 bytes of records, got %d", size)
	}
}

func TestOptions(t *testing.T) {
	o, err := parseOptions([]string{"--size", "64M", "--runs", "2", "--from", "/a", "--keep", "b", "--ndjson", "/c", "send", "map"})
	if err != nil {
		t.Fatal(err)
	}
	if o.size != 64<<20 || o.runs != 2 || o.keep != "/a/b" || o.ndjson != "/c" || len(o.subjects) != 2 || o.subjects[0].name != "send" {
		t.Errorf("got %+v", o)
	}
	if o, err = parseOptions(nil); err != nil || o.size != 2<<30 || len(o.subjects) != len(subjects) {
		t.Errorf("without flags: %+v; error: %v", o, err)
	}
	for _, arguments := range [][]string{{"--size", "64MB"}, {"--size", ""}, {"--size", "0"}, {"--size", "9999999999T"}, {"--runs", "0"}, {"speed"}, {"--tcpreplay", "/nowhere"}} {
		if _, err := parseOptions(arguments); err == nil {
			t.Errorf("%q: no error", arguments)
		}
	}
}

// The memory of a command is its own, and not that of the process that starts it.
func TestPeakIsThatOfTheCommand(t *testing.T) {
	large := make([]byte, 200<<20)
	for i := 0; i < len(large); i += 4096 {
		large[i] = 1
	}
	runtime.KeepAlive(large)
	large = nil
	u, err := shell("true")
	if err != nil {
		t.Fatal(err)
	}
	if u.peak > 100<<20 {
		t.Errorf("%d MiB", u.peak>>20)
	}
}

// A claim about tcpreplay is made of the other one as well.
func TestTwoTcpreplays(t *testing.T) {
	b := &bench{tcpreplays: []tcpreplay{{"tcpreplay", "sh"}, {"tcpreplay-4.5", "/bin/sh"}}}
	c := b.contest("test")
	c.tcpreplays("cat a | ", "-t -")
	c.want("time tcpreplay/ours >= 1")
	c.want("missing ours <= 0")
	if len(c.contenders) != 2 || c.contenders[1] != (contender{"tcpreplay-4.5", "cat a | /bin/sh -t - > /dev/null"}) {
		t.Errorf("contenders: %+v", c.contenders)
	}
	if len(c.claims) != 3 || c.claims[1].text != "time tcpreplay-4.5/ours >= 1" || b.err != nil {
		t.Errorf("claims: %+v; error: %v", c.claims, b.err)
	}
}

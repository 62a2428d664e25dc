package main

import (
	"strings"
	"testing"
)

func TestHistogram(t *testing.T) {
	bounds := []int64{1e3, 2e3, 5e5, 1e6, 2e9}
	got := strings.Join(histogram(bounds, []int64{0, 800, 199, 0, 1}, 43), "\n")
	want := strings.Join([]string{
		"up to   2 us  80.0 %  ████████████████████",
		"up to 500 us  19.9 %  ████▉",
		"up to   1 ms   0.0 %",
		"up to    2 s   0.1 %  ▏",
	}, "\n")
	if got != want {
		t.Errorf("%s\nwanted\n%s", got, want)
	}
	if lines := histogram(bounds, make([]int64, len(bounds)), 40); len(lines) > 0 {
		t.Errorf("of nothing: %q", lines)
	}
	if lines := histogram(bounds, []int64{1, 0, 0, 0, 0}, -10); len(lines) != 1 {
		t.Errorf("in no room: %q", lines)
	}
}

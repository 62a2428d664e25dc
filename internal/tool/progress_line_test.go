package tool

import (
	"testing"
	"time"
)

func TestProgressLine(t *testing.T) {
	start := time.Unix(1600000000, 0)
	for _, c := range []struct {
		name  string
		line  progressLine
		after time.Duration
		done  int64
		want  string
	}{
		{"half", progressLine{total: 71000, withBytes: true}, 2 * time.Second, 35500, "words  49% |█████████           | (36/71 kB, 18 kB/s) [2s:2s]"},
		{"other unit", progressLine{total: 7_100_000, withBytes: true}, time.Second, 950_000, "words  13% |██                  | (950 kB/7.1 MB, 950 kB/s) [1s:6s]"},
		{"nothing", progressLine{total: 71000, withBytes: true}, time.Second, 0, "words   0% |                    | (0 B/71 kB) [1s:0s]"},
		{"all", progressLine{total: 1, withBytes: true}, time.Second, 1, "words  50% |██████████          | (1/1 B, 1 B/s) [1s:0s]"},
		{"unknown", progressLine{total: -1, withBytes: true}, 90 * time.Second, 1_500_000_000, "⠋ words (1.5 GB, 17 MB/s) [1m30s]"},
		{"words alone", progressLine{total: 100}, 5 * time.Second, 50, "words  49% [5s:5s]"},
	} {
		c.line.started = start
		if got := c.line.draw("words", c.done, start.Add(c.after)); got != c.want {
			t.Errorf("%s: %q, wanted %q", c.name, got, c.want)
		}
	}
}

// The rate is that of the last five seconds.
func TestProgressRateForgets(t *testing.T) {
	start := time.Unix(1600000000, 0)
	line := progressLine{total: -1, withBytes: true, started: start}
	rate := 0.
	for i := range 40 {
		done := int64(1e9) // all at once, and then 1 kB a second
		if i > 0 {
			done += int64(i) * 500
		}
		rate = line.rate(done, start.Add(time.Duration(i+1)*progressInterval))
	}
	if rate < 999 || rate > 1001 {
		t.Errorf("%v bytes a second, wanted 1000", rate)
	}
}

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// latenessBounds are the bounds of the histogram in nanoseconds, three per power of ten.
var latenessBounds = func() (bounds []int64) {
	for power := int64(time.Microsecond); power <= int64(time.Minute); power *= 10 {
		bounds = append(bounds, power, 2*power, 5*power)
	}
	return bounds
}()

// histogram draws a bar for each bound, from the first to the last one with packets, in
// lines of the given width.
func histogram(bounds, counts []int64, columns int) (lines []string) {
	const words = "up to 500 us  12.3 %  " // before a bar
	first := slices.IndexFunc(counts, func(n int64) bool { return n > 0 })
	if first < 0 {
		return nil
	}
	last := len(counts)
	for counts[last-1] == 0 {
		last--
	}
	total, most := int64(0), slices.Max(counts)
	for _, n := range counts {
		total += n
	}
	width := min(max(columns-len(words)-1, 8), 60)
	for i := first; i < last; i++ {
		share := float64(counts[i]) / float64(total)
		line := fmt.Sprintf("up to %6s %5.1f %%  %s", boundName(bounds[i]), 100*share, horizontalBar(counts[i], most, width))
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return lines
}

// boundName formats a bound with a unit in which it is a round number.
func boundName(nanoseconds int64) string {
	for _, unit := range []struct {
		length int64
		name   string
	}{{1e9, "s"}, {1e6, "ms"}} {
		if nanoseconds >= unit.length {
			return fmt.Sprintf("%d %s", nanoseconds/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d us", nanoseconds/1e3)
}

// horizontalBlocks are parts of a bar, in eighths of a character.
var horizontalBlocks = []rune("▏▎▍▌▋▊▉█")

// horizontalBar returns a bar whose length is proportional to count. A count above 0 is
// always visible.
func horizontalBar(amount, most int64, width int) string {
	eighths := int(float64(amount) / float64(most) * float64(8*width))
	if amount > 0 {
		eighths = max(eighths, 1)
	}
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string(horizontalBlocks[rest-1])
	}
	return bar
}

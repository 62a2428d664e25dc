package chart

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/duration"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
)

// ComparisonLines is a comparison for people: a table of a few lines, and a histogram of the
// gap error, of so many columns.
func ComparisonLines(r *compare.Result, columns int) (lines []string) {
	line := func(name, format string, values ...any) {
		lines = append(lines, fmt.Sprintf("%-15s", name)+fmt.Sprintf(format, values...))
	}
	line("reference", "%s, %s", plural.Of(r.Reference.Packets, "packet"), plural.Of(r.Reference.Bytes, "byte"))
	line("capture", "%s, %s", plural.Of(r.Capture.Packets, "packet"), plural.Of(r.Capture.Bytes, "byte"))
	line("", "%d matched, %d altered%s, %d missing", r.Matched, r.Altered, alteredFields(&r.AlteredFields), r.Comparison.Missing)
	line("", "%d extra, %d duplicated, %d reordered%s", r.Comparison.Extra, r.Duplicated, r.Reordered, extent(r))
	if r.GapError == nil && r.ScheduleError == nil {
		return lines
	}
	line("gap error", "%s", errorText(r.GapError))
	line("schedule error", "%s", errorText(r.ScheduleError))
	estimated := ""
	if r.SpeedEstimated {
		estimated = " (estimated)"
	}
	line("speed", "%.6g%s%s", r.Speed, estimated, driftText(r))
	return append(lines, gapHistogram(r.GapErrors, columns)...)
}

func extent(r *compare.Result) string {
	if r.Reordered == 0 {
		return ""
	}
	return fmt.Sprintf(" by up to %s", plural.Of(r.ReorderingExtent, "packet"))
}

// alteredFields lists what differs, if anything does.
func alteredFields(f *record.AlteredFields) string {
	var texts []string
	for _, field := range []struct {
		name  string
		count int64
	}{
		{"MAC", f.MAC}, {"VLAN", f.VLAN}, {"address", f.Address}, {"port", f.Port}, {"TTL", f.TTL}, {"TOS", f.TOS},
		{"checksum", f.Checksum}, {"payload", f.Payload},
	} {
		if field.count > 0 {
			texts = append(texts, fmt.Sprintf("%s %d", field.name, field.count))
		}
	}
	if texts == nil {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}

func errorText(e *record.TimeError) string {
	if e == nil {
		return "none"
	}
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", duration.Text(e.P50), duration.Text(e.P90), duration.Text(e.P99), duration.Text(e.P999), duration.Text(e.Max))
}

func driftText(r *compare.Result) string {
	if r.DriftPPM == nil {
		return ""
	}
	return fmt.Sprintf(", drift %.3g ppm, %s at the end", *r.DriftPPM, duration.Text(*r.DriftEnd))
}

// gapHistogram draws a bar for each bound of compare.GapErrorBounds, from the first to the
// last that has errors.
func gapHistogram(counts []int64, columns int) (lines []string) {
	const words = "up to 500 us  12.3 %  " // before a bar
	first := slices.IndexFunc(counts, func(n int64) bool { return n > 0 })
	if first < 0 {
		return nil
	}
	last, total, most := len(counts), int64(0), slices.Max(counts)
	for counts[last-1] == 0 {
		last--
	}
	for _, n := range counts {
		total += n
	}
	width := min(max(columns-len(words)-1, 8), 60)
	for i := first; i < last; i++ {
		share := float64(counts[i]) / float64(total)
		bar := lyingBar(float64(counts[i])/float64(most), width)
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%-12s %5.1f %%  %s", boundText(i), 100*share, bar), " "))
	}
	return lines
}

func boundText(bar int) string {
	if bar == len(compare.GapErrorBounds)-1 {
		return "more"
	}
	bound := time.Duration(compare.GapErrorBounds[bar])
	return "up to " + duration.Text(bound.Seconds())
}

// horizontalBlocks are parts of a bar, in eighths of a character.
var horizontalBlocks = []rune("▏▎▍▌▋▊▉█")

// lyingBar is width characters long for an amount of 1. What is not nothing shows.
func lyingBar(amount float64, width int) string {
	eighths := int(amount * float64(8*width))
	if amount > 0 {
		eighths = max(eighths, 1)
	}
	bar := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		bar += string(horizontalBlocks[rest-1])
	}
	return bar
}

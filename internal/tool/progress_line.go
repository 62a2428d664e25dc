package tool

import (
	"fmt"
	"strings"
	"time"
)

// progressLine is the content of the line besides text.
type progressLine struct {
	total     int64 // bytes; -1 if unknown
	withBytes bool
	started   time.Time
	drawn     int // how often
	samples   []progressSample
}

// progressSample is the number of bytes that were done at a moment.
type progressSample struct {
	at    time.Time
	bytes int64
}

const (
	// rateSamples is the number of lines over which the rate is averaged: five seconds.
	rateSamples = 10
	barWidth    = 20
)

// spinner changes from line to line, to show that the run is alive.
var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// draw returns the line without a line feed.
func (l *progressLine) draw(words string, done int64, now time.Time) string {
	rate := l.rate(done, now)
	elapsed := now.Sub(l.started).Truncate(time.Second)
	var line strings.Builder
	if l.total < 0 {
		fmt.Fprintf(&line, "%c ", spinner[l.drawn%len(spinner)])
	}
	l.drawn++
	line.WriteString(words)
	if l.total >= 0 {
		share := float64(done) / float64(l.total+1) // when it is done, the line is removed
		fmt.Fprintf(&line, " %3d%%", int(100*share))
		if l.withBytes {
			full := int(barWidth * share)
			fmt.Fprintf(&line, " |%s%s|", strings.Repeat("█", full), strings.Repeat(" ", barWidth-full))
		}
	}
	if l.withBytes {
		line.WriteString(" (" + l.amount(done))
		if rate > 0 {
			line.WriteString(", " + byteText(rate) + "/s")
		}
		line.WriteString(")")
	}
	if l.total < 0 {
		fmt.Fprintf(&line, " [%v]", elapsed)
	} else {
		fmt.Fprintf(&line, " [%v:%v]", elapsed, l.left(done, rate))
	}
	return line.String()
}

// rate is the recent number of bytes per second.
func (l *progressLine) rate(done int64, now time.Time) float64 {
	if len(l.samples) == 0 {
		l.samples = append(l.samples, progressSample{l.started, 0})
	}
	l.samples = append(l.samples, progressSample{now, done})
	if len(l.samples) > rateSamples+1 {
		l.samples = l.samples[1:]
	}
	first := l.samples[0]
	return float64(done-first.bytes) / max(now.Sub(first.at).Seconds(), 1e-3)
}

// left is the remaining time in whole seconds.
func (l *progressLine) left(done int64, rate float64) time.Duration {
	const most = float64(1000 * time.Hour / time.Second)
	if rate <= 0 {
		return 0
	}
	return time.Duration(min(float64(l.total-done)/rate, most)) * time.Second
}

// amount formats the number of bytes that are done, and the total.
func (l *progressLine) amount(done int64) string {
	some := byteText(float64(done))
	if l.total < 0 {
		return some
	}
	all := byteText(float64(l.total))
	number, unit, _ := strings.Cut(some, " ")
	if _, unitOfAll, _ := strings.Cut(all, " "); unit == unitOfAll {
		some = number
	}
	return some + "/" + all
}

// byteText formats a number of bytes with at least two digits and a decimal unit.
func byteText(amount float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		switch {
		case amount < 9.95 && unit != "B":
			return fmt.Sprintf("%.1f %s", amount, unit)
		case amount < 999.5:
			return fmt.Sprintf("%.0f %s", amount, unit)
		}
		amount /= 1000
	}
	return fmt.Sprintf("%.1f TB", amount)
}

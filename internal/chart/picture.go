// Package chart draws records of captures as text for a terminal or as SVG: when each
// capture runs, and its packet rate over time.
package chart

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
)

// Picture shows when captures run: one row for each capture, on a common time axis. Its
// zero value has no rows.
type Picture struct {
	rows       []captureRow
	start, end int64 // of the axis, in nanoseconds since the Unix epoch
	timed      int   // rows that have times
}

// captureRow is one capture.
type captureRow struct {
	name       string // safe for a terminal
	timed      bool   // it has packets with times, so start and end are valid
	start, end int64
	packets    int64
	damaged    bool
	rate       *survey.Rate // nil if only start and end are known
}

// Add adds a row for a capture. rate is nil if only its start and end are known.
func (p *Picture) Add(c *record.Capture, rate *survey.Rate) {
	row := captureRow{
		name:    files.Display(record.Name(c.Path, c.PathRaw), record.Name(c.Archive, c.ArchiveRaw)),
		packets: max(c.Packets, 0), damaged: len(c.Damage) > 0, rate: rate,
	}
	first, last := cmp.Or(c.Earliest, c.First), cmp.Or(c.Latest, c.Last, c.Earliest, c.First)
	if first != nil && last != nil {
		row.timed, row.start, row.end = true, int64(*first), max(int64(*first), int64(*last))
		if p.timed == 0 {
			p.start, p.end = row.start, row.end
		}
		p.start, p.end = min(p.start, row.start), max(p.end, row.end)
		p.timed++
	}
	p.rows = append(p.rows, row)
}

// span is the length of the axis in nanoseconds, at least one.
func (p *Picture) span() float64 { return float64(uint64(p.end)-uint64(p.start)) + 1 }

// position returns the position of a time on an axis of the given length.
func (p *Picture) position(t int64, length float64) float64 {
	return float64(uint64(t)-uint64(p.start)) / p.span() * length
}

// band is one line of the picture. It shows one capture, or several if there are more
// captures than lines.
type band struct {
	group
	running []int     // number of captures that run, by column
	packets []float64 // by column
	rated   bool      // packets is valid
}

// bands computes the columns of each group.
func (p *Picture) bands(groups []group, columns int) []band {
	bands := make([]band, len(groups))
	for i, group := range groups {
		bands[i] = band{group: group, running: make([]int, columns), packets: make([]float64, columns)}
		for _, row := range group.rows {
			p.addRow(&bands[i], row)
		}
	}
	return bands
}

func (p *Picture) addRow(b *band, row captureRow) {
	if !row.timed {
		return
	}
	columns := len(b.running)
	first, last := p.column(row.start, columns), p.column(row.end, columns)
	for column := first; column <= last; column++ {
		b.running[column]++
	}
	if row.rate != nil {
		row.rate.Spread(b.packets, p.start, p.end)
		b.rated = true
	}
}

func (p *Picture) column(t int64, columns int) int {
	return min(int(p.position(t, float64(columns))), columns-1)
}

// peak is the largest number of packets in one column of one band.
func peak(bands []band) (packets float64) {
	for _, b := range bands {
		packets = max(packets, slices.Max(b.packets))
	}
	return packets
}

// columnRate converts a number of packets in one column to packets per second.
func (p *Picture) columnRate(packets float64, columns int) float64 {
	return packets * float64(columns) / p.span() * 1e9
}

// running counts the captures that run, by column.
func running(bands []band, columns int) []int {
	sum := make([]int, columns)
	for _, b := range bands {
		for column, count := range b.running {
			sum[column] += count
		}
	}
	return sum
}

// atOnce is the largest number of captures that run at the same moment.
func (p *Picture) atOnce() (most int) {
	var starts, ends []int64
	for _, row := range p.rows {
		if row.timed {
			starts, ends = append(starts, row.start), append(ends, row.end)
		}
	}
	slices.Sort(starts)
	slices.Sort(ends)
	ended := 0
	for started, start := range starts {
		for ends[ended] < start {
			ended++
		}
		most = max(most, started+1-ended)
	}
	return most
}

// commonFolder is the folder with which all names begin. A drawing names it only once.
func commonFolder(names []string) string {
	if len(names) == 0 {
		return ""
	}
	folder := names[0][:strings.LastIndexByte(names[0], '/')+1]
	for _, name := range names[1:] {
		for !strings.HasPrefix(name, folder) {
			folder = folder[:strings.LastIndexByte(strings.TrimSuffix(folder, "/"), '/')+1]
		}
	}
	return folder
}

// commonFolder is that of all captures.
func (p *Picture) commonFolder() string {
	names := make([]string, len(p.rows))
	for i := range p.rows {
		names[i] = p.rows[i].name
	}
	return commonFolder(names)
}

// tick is a mark on the axis.
type tick struct {
	time  int64
	label string
}

// tickSteps are round durations, in nanoseconds.
var tickSteps = func() (steps []int64) {
	for power := int64(1); power < 1e9; power *= 10 {
		steps = append(steps, power, 2*power, 5*power)
	}
	const second, minute, hour, day = 1e9, 60e9, 3600e9, 86400e9
	return append(steps, second, 2*second, 5*second, 10*second, 15*second, 30*second,
		minute, 2*minute, 5*minute, 10*minute, 15*minute, 30*minute, hour, 2*hour, 3*hour, 6*hour, 12*hour,
		day, 2*day, 7*day, 14*day, 30*day, 90*day, 180*day, year, 2*year, 5*year, 10*year, 20*year, 50*year, 100*year)
}()

// year is the mean length of a year in nanoseconds.
const year = 31557600e9

// ticks returns marks at round times whose labels fit onto an axis of the given number of
// characters.
func (p *Picture) ticks(characters int) (ticks []tick) {
	for _, step := range tickSteps {
		layout := p.tickLayout(step)
		if p.span()/float64(step)*float64(len(layout)+2) > float64(characters) {
			continue
		}
		if step >= year {
			return p.yearTicks(int(step / year))
		}
		first := p.start - p.start%step
		for t := first; t >= first && t <= p.end; t += step { // t may overflow
			if t >= p.start {
				ticks = append(ticks, tick{t, time.Unix(0, t).UTC().Format(layout)})
			}
		}
		break
	}
	return ticks
}

// yearTicks returns marks at the beginning of years, so many years apart.
func (p *Picture) yearTicks(step int) (ticks []tick) {
	first, last := time.Unix(0, p.start).UTC().Year(), time.Unix(0, p.end).UTC().Year()
	for y := first - first%step; y <= last; y += step {
		start := time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
		if t := start.UnixNano(); y >= first && t >= p.start && t <= p.end && time.Unix(0, t).Equal(start) {
			ticks = append(ticks, tick{t, strconv.Itoa(y)})
		}
	}
	return ticks
}

// tickLayout returns the time layout with the parts that change from tick to tick.
func (p *Picture) tickLayout(step int64) string {
	layout := "15:04:05"
	switch {
	case step >= year:
		return "2006"
	case step >= int64(24*time.Hour):
		return "2006-01-02"
	case step >= int64(time.Minute):
		layout = "15:04"
	case step < int64(time.Second):
		layout += "." + tickDecimals[:len(tickDecimals)+1-len(strconv.FormatInt(step, 10))]
	}
	if time.Unix(0, p.start).UTC().YearDay() != time.Unix(0, p.end).UTC().YearDay() || p.span() > float64(24*time.Hour) {
		layout = "01-02 " + layout
	}
	return layout
}

const tickDecimals = "000000000"

// describeRange describes the axis: its start, its end and its duration.
func (p *Picture) describeRange() string {
	const layout = "2006-01-02 15:04:05.000"
	return time.Unix(0, p.start).UTC().Format(layout) + " to " + time.Unix(0, p.end).UTC().Format(layout) + " UTC, " + p.length()
}

// length returns the duration of the axis with a sensible precision.
func (p *Picture) length() string {
	length := time.Duration(p.end - p.start)
	switch {
	case length < 0 || length > 48*time.Hour:
		return fmt.Sprintf("%.1f days", p.span()/float64(24*time.Hour))
	case length > time.Minute:
		length = length.Round(time.Second)
	case length > time.Millisecond:
		length = length.Round(time.Microsecond)
	}
	return length.String()
}

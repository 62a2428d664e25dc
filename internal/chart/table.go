package chart

import (
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/files"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
)

// Table lists captures for people: one line for each, and a line of totals. Its zero value
// has no captures.
type Table struct {
	rows   []tableRow
	totals tableRow
}

// tableRow is a line of the table.
type tableRow struct {
	name           string // safe for a terminal
	packets, bytes int64
	earliest       *record.Time // nil without packets
	latest         *record.Time
	damaged        bool
}

// Add adds a line for a capture.
func (t *Table) Add(c *record.Capture) {
	row := tableRow{
		name:    files.Display(record.Name(c.Path, c.PathRaw), record.Name(c.Archive, c.ArchiveRaw)),
		packets: c.Packets, bytes: c.Bytes, earliest: c.Earliest, latest: c.Latest, damaged: len(c.Damage) > 0,
	}
	t.rows = append(t.rows, row)
	t.totals.packets += row.packets
	t.totals.bytes += row.bytes
	if row.earliest == nil || row.latest == nil {
		return
	}
	if t.totals.earliest == nil || *row.earliest < *t.totals.earliest {
		t.totals.earliest = row.earliest
	}
	if t.totals.latest == nil || *row.latest > *t.totals.latest {
		t.totals.latest = row.latest
	}
}

// tableHeads are the heads of the columns. The columns of a narrow terminal end early.
var tableHeads = []string{"CAPTURE", "PACKETS", "BYTES", "FIRST (UTC)", "DURATION", "PACKETS/S"}

const (
	// leastName is the width that the names get at the expense of the last columns.
	leastName  = 20
	tableSpace = "  " // between columns
	// damagedMark follows the columns of a damaged capture.
	damagedMark = "damaged"
)

// cells are the columns of a row after the name.
func (r *tableRow) cells() []string {
	cells := []string{strconv.FormatInt(r.packets, 10), shortBytes(float64(r.bytes)), "", "", ""}
	if r.earliest == nil || r.latest == nil {
		return cells
	}
	cells[2] = time.Unix(0, int64(*r.earliest)).UTC().Format(time.DateTime)
	seconds := float64(uint64(*r.latest)-uint64(*r.earliest)) / 1e9
	cells[3] = duration.Text(seconds)
	if seconds > 0 {
		cells[4] = shortNumber(float64(r.packets) / seconds)
	}
	return cells
}

// WriteText writes the table for a terminal of so many columns.
func (t *Table) WriteText(dst io.Writer, columns int) error {
	folder := t.commonFolder()
	t.totals.name = plural.Of(int64(len(t.rows)), "capture")
	lines := make([][]string, 0, len(t.rows)+2)
	lines = append(lines, slices.Clone(tableHeads))
	damaged := 0
	for _, row := range append(slices.Clone(t.rows), t.totals) {
		lines = append(lines, append([]string{strings.TrimPrefix(row.name, folder)}, row.cells()...))
		if row.damaged {
			damaged++
		}
	}
	if damaged > 0 {
		columns -= len(tableSpace) + len(damagedMark)
	}
	widths := tableWidths(lines, columns)
	var page bytes.Buffer
	if folder != "" {
		page.WriteString(filepath.Clean(folder) + ":\n")
	}
	for i, cells := range lines {
		line := tableLine(cells, widths)
		if row := i - 1; row >= 0 && row < len(t.rows) && t.rows[row].damaged {
			line += tableSpace + damagedMark
		}
		page.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := dst.Write(page.Bytes())
	return err
}

// commonFolder is that of several captures. The table names it once, as ls does.
func (t *Table) commonFolder() string {
	if len(t.rows) < 2 {
		return ""
	}
	names := make([]string, len(t.rows))
	for i := range t.rows {
		names[i] = t.rows[i].name
	}
	return commonFolder(names)
}

// tableWidths returns the widths of as many columns as fit. The names get what the others
// leave.
func tableWidths(lines [][]string, columns int) []int {
	widths := make([]int, len(tableHeads))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], uniseg.StringWidth(cell))
		}
	}
	for {
		room := columns
		for _, width := range widths[1:] {
			room -= len(tableSpace) + width
		}
		if room >= min(widths[0], leastName) || len(widths) == 1 {
			widths[0] = min(widths[0], max(room, 1))
			return widths
		}
		widths = widths[:len(widths)-1]
	}
}

// tableLine is a line of the table: the name to the left, and the figures to the right.
func tableLine(cells []string, widths []int) string {
	line := fitName(cells[0], widths[0])
	for i, width := range widths[1:] {
		line += tableSpace + strings.Repeat(" ", width-len(cells[i+1])) + cells[i+1]
	}
	return line
}

// shortBytes formats a number of bytes with three digits and a decimal unit.
func shortBytes(n float64) string {
	text := shortNumber(n)
	number := strings.TrimRight(text, "kMGTP")
	return number + " " + text[len(number):] + "B"
}

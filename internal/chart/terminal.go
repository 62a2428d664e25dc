package chart

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rivo/uniseg"

	"pcap-replay/internal/plural"
)

// Size is the size of a picture in characters and lines. 0 lines means no limit.
type Size struct{ Columns, Lines int }

const (
	minColumns = 40
	// frameLines is the number of lines of a chart besides those of captures: one for the
	// number of captures at once, two for the axis, two for text, and the prompt.
	frameLines = 6
)

// blocks are the heights of a rate, in eighths of a line.
var blocks = []rune("▁▂▃▄▅▆▇█")

// WriteText writes the picture as text.
func (p *Picture) WriteText(dst io.Writer, size Size) error {
	columns := max(size.Columns, minColumns)
	limit := 0
	if size.Lines > 0 {
		limit = max(size.Lines-frameLines, 1)
	}
	folder := p.commonFolder()
	var page bytes.Buffer
	if p.timed == 0 {
		fmt.Fprintf(&page, "%s, none with packets\n", plural.Of(int64(len(p.rows)), "capture"))
		_, err := dst.Write(page.Bytes())
		return err
	}
	groups := p.groups(limit, limit)
	margin := nameMargin(groups, folder, columns/3)
	width := columns - margin - 1
	bands := p.bands(groups, width)
	top := peak(bands)
	for _, b := range bands {
		writeLine(&page, b.label(folder), margin, b.draw(top))
	}
	writeLine(&page, "at once", margin, drawCounts(running(bands, width)))
	p.writeAxis(&page, margin, width)
	fmt.Fprintf(&page, "%s\n", p.describeRange())
	fmt.Fprintf(&page, "%s, up to %d at once", plural.Of(int64(len(p.rows)), "capture"), p.atOnce())
	if top > 0 && p.end > p.start {
		fmt.Fprintf(&page, "; █ is %s packets/s", shortNumber(p.columnRate(top, width)))
	}
	if folder != "" {
		fmt.Fprintf(&page, "; below %s", folder)
	}
	page.WriteByte('\n')
	_, err := dst.Write(page.Bytes())
	return err
}

// nameMargin is the width of the names in columns, which is limited.
func nameMargin(groups []group, folder string, limit int) int {
	margin := len("at once")
	for _, group := range groups {
		margin = max(margin, uniseg.StringWidth(group.label(folder)))
	}
	return min(margin, limit)
}

// fitName makes a name as wide as the margin. It cuts the middle: names of rotating writers
// differ at their beginning by the writer, and at their end by the number or time.
func fitName(name string, width int) string {
	if uniseg.StringWidth(name) > width {
		name = cutMiddle(name, width)
	}
	return name + strings.Repeat(" ", max(0, width-uniseg.StringWidth(name)))
}

// cutMiddle keeps the beginning and the end of a name, as much as fits.
func cutMiddle(name string, width int) string {
	var characters []string
	for rest, state := name, -1; rest != ""; {
		var character string
		character, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		characters = append(characters, character)
	}
	left, right := "", ""
	for room := width - 1; len(characters) > 0; { // 1 for the ellipsis
		next, fromLeft := characters[0], uniseg.StringWidth(left) < uniseg.StringWidth(right)
		if !fromLeft {
			next = characters[len(characters)-1]
		}
		if room -= uniseg.StringWidth(next); room < 0 {
			break
		}
		if fromLeft {
			left, characters = left+next, characters[1:]
		} else {
			right, characters = next+right, characters[:len(characters)-1]
		}
	}
	return left + "…" + right
}

// draw draws a band: blocks for the rate, a thin line where a capture runs without packets,
// and a thick line where the rate is not known.
func (b *band) draw(top float64) string {
	line := make([]rune, len(b.running))
	for column := range line {
		switch packets := b.packets[column]; {
		case b.running[column] == 0:
			line[column] = ' '
		case !b.rated:
			line[column] = '━'
		case packets < 1e-6:
			line[column] = '─'
		default:
			line[column] = block(packets, top)
		}
	}
	return string(line)
}

func drawCounts(counts []int) string {
	line := make([]rune, len(counts))
	top := float64(slices.Max(counts))
	for column, count := range counts {
		line[column] = ' '
		if count > 0 {
			line[column] = block(float64(count), top)
		}
	}
	return string(line)
}

// block returns the block character for an amount above 0 and up to top.
func block(amount, top float64) rune {
	height := int(math.Ceil(amount / top * float64(len(blocks))))
	return blocks[min(max(height, 1), len(blocks))-1]
}

// writeAxis draws the axis, and the labels of its ticks below it.
func (p *Picture) writeAxis(page *bytes.Buffer, margin, width int) {
	axis := []rune(strings.Repeat("─", width))
	labels := strings.Repeat(" ", width)
	for _, t := range p.ticks(width) {
		column := p.column(t.time, width)
		if strings.TrimSpace(labels[max(0, column-1):min(width, column+len(t.label))]) != "" || column+len(t.label) > width {
			continue
		}
		axis[column] = '┬'
		labels = labels[:column] + t.label + labels[column+len(t.label):]
	}
	writeLine(page, "", margin, string(axis))
	writeLine(page, "", margin, labels)
}

func writeLine(page *bytes.Buffer, name string, margin int, line string) {
	page.WriteString(strings.TrimRight(fitName(name, margin)+" "+line, " "))
	page.WriteByte('\n')
}

// shortNumber formats a number with three digits and a unit.
func shortNumber(n float64) string {
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		if n < 999.5 {
			return strings.TrimSuffix(strconv.FormatFloat(n, 'g', 3, 64), ".0") + unit
		}
		n /= 1000
	}
	return strconv.FormatFloat(n, 'g', 3, 64) + "P"
}

package chart

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
)

// Measures of the SVG picture, in its own units.
const (
	svgWidth    = 1200
	svgMargin   = 16
	svgHead     = 118 // title, legend, number of captures at once, and axis
	svgLegend   = 48  // base line of the legend
	svgAtOnce   = 32  // height of the number of captures at once
	svgOwnRows  = 60  // with more captures, those of a writer share a row
	svgMaxRows  = 2000
	svgNames    = 42   // maximum length of a name in characters
	svgNameSize = 0.62 // width of a character, relative to the font size
	svgLeast    = 2    // minimum width and height of what is drawn, so that it is visible
	svgBorder   = 1    // between the captures of a row
	// The labels of the axis are repeated after this many rows, in a strip of this height,
	// so they are visible at any scroll position.
	svgAxisEvery = 40
	svgAxisStrip = 18
)

// svgStyle has the colors for light and dark color schemes. Some viewers do not support
// variables, so each color is repeated.
const svgStyle = `
text { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #333 }
.paper { fill: #fff } .grid { stroke: #ddd } .soft { fill: #767676 }
.row:hover .run { fill: #b9d4f0 } .band { fill: #808890; fill-opacity: .08 } .odd { fill-opacity: 0 }
.run { fill: #d9e6f4 } .rate { fill: #1f6fbf } .bad { fill: #c62828 } .all { fill: #8a94a0 }
path.rate { pointer-events: none }
.line { fill: none; stroke: #1f6fbf }
@media (prefers-color-scheme: dark) {
text { fill: #d5d9de }
.paper { fill: #15181c } .grid { stroke: #30363d } .soft { fill: #8b949e }
.row:hover .run { fill: #37577a }
.run { fill: #25384d } .rate { fill: #58a6ff } .bad { fill: #ff6b64 } .all { fill: #6e7781 }
.line { stroke: #58a6ff }
}
`

// svgPage is the layout of one picture.
type svgPage struct {
	*Picture
	dst       *bufio.Writer
	folder    string
	bands     []band
	columns   int // of the bands
	rowHeight float64
	fontSize  float64
	left      float64 // where the axis begins
	width     float64 // of the axis
	height    float64
}

// WriteSVG draws the picture as SVG.
func (p *Picture) WriteSVG(dst io.Writer) error {
	page := svgPage{Picture: p, dst: bufio.NewWriter(dst), folder: p.commonFolder()}
	groups := p.groups(svgOwnRows, svgMaxRows)
	page.layOut(groups)
	top := peak(page.bands)
	page.drawHead()
	page.drawLegend(top)
	for i := range page.bands {
		page.drawBand(i, top)
	}
	page.printf("</svg>\n")
	return page.dst.Flush()
}

func (p *svgPage) printf(format string, values ...any) { fmt.Fprintf(p.dst, format, values...) }

// layOut chooses the height of the rows by their number.
func (p *svgPage) layOut(groups []group) {
	switch {
	case len(groups) <= svgOwnRows:
		p.rowHeight, p.fontSize, p.columns = 20, 12, 900
	case len(groups) <= 300:
		p.rowHeight, p.fontSize, p.columns = 14, 10, 600
	default:
		p.rowHeight, p.fontSize, p.columns = 10, 8.5, 600
	}
	longest := nameMargin(groups, p.folder, svgNames)
	p.left = svgMargin + float64(longest)*p.fontSize*svgNameSize + 8
	p.width = svgWidth - svgMargin - p.left
	p.bands = p.Picture.bands(groups, p.columns)
	p.height = p.rowTop(len(groups)) + 8
}

func (p *svgPage) drawHead() {
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%.0f" viewBox="0 0 %d %.0f" font-size="%g">`+"\n<style>%s</style>\n",
		svgWidth, p.height, svgWidth, p.height, p.fontSize, svgStyle)
	title := plural.Of(int64(len(p.rows)), "capture")
	if p.timed > 0 {
		title += ": " + p.describeRange()
	}
	if p.folder != "" {
		title += ", below " + p.folder
	}
	p.printf(`<title>%s</title>`+"\n"+`<rect class="paper" width="100%%" height="100%%"/>`+"\n", escapeXML(title))
	p.printf(`<text x="%d" y="26" font-size="14">%s</text>`+"\n", svgMargin, escapeXML(title))
	if p.timed == 0 {
		return
	}
	counts := running(p.bands, p.columns)
	heights, most := make([]float64, len(counts)), slices.Max(counts)
	for i, n := range counts {
		heights[i] = float64(n) / float64(most)
	}
	p.printf(`<text class="soft" x="%g" y="%g" text-anchor="end">up to %d at once</text>`+"\n", p.left-8, svgHead-30.0, p.atOnce())
	p.printf(`<path class="all" d="%s"/>`+"\n", p.steps(heights, svgHead-24, svgAtOnce))
	for _, t := range p.ticks(int(p.width / (p.fontSize * svgNameSize))) {
		x := p.left + p.position(t.time, p.width)
		p.printf(`<path class="grid" d="M%.1f %dV%.1f"/>`+"\n", x, svgHead-24, p.height-8)
		if x+float64(len(t.label))*p.fontSize*svgNameSize > svgWidth {
			continue
		}
		for row := 0; row < len(p.bands)+svgAxisEvery; row += svgAxisEvery {
			y := p.rowTop(min(row, len(p.bands)))
			p.printf(`<text class="soft" x="%.1f" y="%.1f">%s</text>`+"\n", x+2, y-5, t.label)
		}
	}
}

// drawLegend explains the height of the bars. The highest bar has the rate of top packets in
// a column.
func (p *svgPage) drawLegend(top float64) {
	if top == 0 || p.end == p.start {
		return
	}
	height := p.rowHeight - 2
	p.printf(`<rect class="rate" x="%d" y="%g" width="6" height="%g"/>`, svgMargin, svgLegend-height, height)
	p.printf(`<text class="soft" x="%d" y="%d">a bar of this height is %s packets/s; the light strip behind it shows when the capture runs</text>`+"\n",
		svgMargin+12, svgLegend, shortNumber(p.columnRate(top, p.columns)))
}

// rowTop is the upper edge of a row, below a strip of labels if there is one.
func (p *svgPage) rowTop(row int) float64 {
	strips := row / svgAxisEvery
	if row == len(p.bands) {
		strips = (row + svgAxisEvery - 1) / svgAxisEvery
	}
	return svgHead + float64(row)*p.rowHeight + float64(strips)*svgAxisStrip
}

// drawBand draws a row: its name, when it runs, its rate, and the text that appears below
// the pointer.
func (p *svgPage) drawBand(i int, top float64) {
	b := &p.bands[i]
	y := p.rowTop(i)
	height := p.rowHeight - 2
	p.printf(`<g class="row"><title>%s</title>`, escapeXML(b.describe()))
	class := "band"
	if i%2 == 1 {
		class = "odd" // invisible, but the pointer finds the whole row
	}
	p.printf(`<rect class="%s" y="%g" width="%d" height="%g"/>`, class, y, svgWidth, p.rowHeight)
	name := fitName(b.label(p.folder), svgNames)
	p.printf(`<text x="%d" y="%g">%s</text>`, svgMargin, y+p.rowHeight-p.fontSize*0.35, escapeXML(strings.TrimRight(name, " ")))
	damaged := false
	for _, row := range b.rows {
		if row.timed {
			from, to := p.position(row.start, p.width), p.position(row.end, p.width)
			class := "run"
			if to-from < svgLeast {
				class = "rate" // there is only room to show where it runs
			}
			if len(b.rows) > 1 {
				to -= svgBorder
			}
			p.printf(`<rect class="%s" x="%.1f" y="%g" width="%.1f" height="%g"`, class, p.left+from, y+1, max(to-from, svgLeast), height)
			if len(b.rows) > 1 {
				p.printf(`><title>%s</title></rect>`, escapeXML(row.describe()))
			} else {
				p.printf(`/>`)
			}
		}
		damaged = damaged || row.damaged
	}
	if b.rated {
		heights := make([]float64, len(b.packets))
		for column, packets := range b.packets {
			if packets > 1e-6 {
				heights[column] = max(packets/top, svgLeast/height)
			}
		}
		p.printf(`<path class="rate" d="%s"/>`, p.steps(heights, y+1+height, height))
	}
	if damaged {
		p.printf(`<text class="bad" x="%g" y="%g" text-anchor="end">!</text>`, p.left-2, y+p.rowHeight-p.fontSize*0.35)
	}
	p.printf("</g>\n")
}

// steps returns the outline of heights, from 0 to 1, above a base line.
func (p *svgPage) steps(heights []float64, base, scale float64) string {
	var path []byte
	step := p.width / float64(len(heights))
	up := 0.
	for i, height := range append(heights, 0) {
		now := math.Round(height*scale*2) / 2
		if now == up {
			continue
		}
		x := p.left + float64(i)*step
		if up == 0 {
			path = fmt.Appendf(path, "M%.1f %g", x, base)
		} else {
			path = fmt.Appendf(path, "H%.1f", x)
		}
		path = append(path, 'V')
		path = strconv.AppendFloat(path, base-now, 'g', 6, 64)
		up = now
	}
	return string(path)
}

// describe describes a band, with some lines for each capture.
func (b *band) describe() string {
	const most = 20
	var lines []string
	for _, row := range b.rows[:min(len(b.rows), most)] {
		lines = append(lines, row.describe())
	}
	if more := len(b.rows) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// describe describes a capture: its name, and its figures in a second line.
func (r *captureRow) describe() string {
	text := r.name + "\n" + plural.Of(r.packets, "packet")
	if r.timed {
		text += ", " + record.Time(r.start).String() + " to " + record.Time(r.end).String()
	}
	if r.damaged {
		text += ", damaged"
	}
	return text
}

func escapeXML(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text)) // a Builder never fails
	return escaped.String()
}

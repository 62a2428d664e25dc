package chart

import (
	"bufio"
	"fmt"
	"io"
	"math"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/duration"
	"pcap-replay/internal/plural"
)

// Measures of the picture of a comparison, in its own units.
const (
	comparisonLeft   = 90 // for the labels of the axes
	comparisonTop    = 60 // for words
	comparisonRates  = 200
	comparisonErrors = 160
	comparisonGap    = 40 // between the two, for the axis of time
)

// comparisonPage is the layout of one picture.
type comparisonPage struct {
	*compare.Result
	dst   *bufio.Writer
	width float64 // of the axis of time
}

// WriteComparisonSVG draws the packet rates of both captures over time as SVG, and below
// them the gap error: its mean and its maximum.
func WriteComparisonSVG(dst io.Writer, r *compare.Result) error {
	p := comparisonPage{Result: r, dst: bufio.NewWriter(dst), width: svgWidth - svgMargin - comparisonLeft}
	p.drawHead()
	if len(r.Series.Buckets) > 0 {
		p.drawTime()
		p.drawRates()
		p.drawErrors()
	}
	p.printf("</svg>\n")
	return p.dst.Flush()
}

func (p *comparisonPage) printf(format string, values ...any) { fmt.Fprintf(p.dst, format, values...) }

// Where the two parts begin and end.
const (
	ratesBottom  = comparisonTop + comparisonRates
	errorsTop    = ratesBottom + comparisonGap
	errorsBottom = errorsTop + comparisonErrors
	pageHeight   = errorsBottom + 30
)

func (p *comparisonPage) drawHead() {
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-size="12">`+"\n<style>%s</style>\n",
		svgWidth, pageHeight, svgWidth, pageHeight, svgStyle)
	title := fmt.Sprintf("%s sent, %d matched, %d altered, %d missing, %d extra, %d duplicated, %d reordered",
		plural.Of(p.Reference.Packets, "packet"), p.Matched, p.Altered, p.Comparison.Missing, p.Comparison.Extra, p.Duplicated, p.Reordered)
	p.printf(`<title>%s</title>`+"\n"+`<rect class="paper" width="100%%" height="100%%"/>`+"\n", escapeXML(title))
	p.printf(`<text x="%d" y="24" font-size="14">%s</text>`+"\n", svgMargin, escapeXML(title))
	p.printf(`<text class="soft" x="%d" y="44">packets/s of the reference (area) and of the capture (line)</text>`+"\n", comparisonLeft)
}

// drawTime marks round times, in seconds from the start.
func (p *comparisonPage) drawTime() {
	span := p.Series.Length * float64(len(p.Series.Buckets)) / 1e9
	step := roundUp(span / 10)
	for i := 0; float64(i)*step < span; i++ {
		x := comparisonLeft + float64(i)*step/span*p.width
		p.printf(`<path class="grid" d="M%.1f %dV%d"/>`, x, comparisonTop, errorsBottom)
		p.printf(`<text class="soft" x="%.1f" y="%d">%s</text>`+"\n", x+2, ratesBottom+16, duration.Text(float64(i)*step))
	}
}

// roundUp gives the next number of the form 1, 2 or 5 times a power of ten.
func roundUp(value float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= value {
			return factor * power
		}
	}
	return 10 * power
}

func (p *comparisonPage) drawRates() {
	most := int64(1)
	for _, b := range p.Series.Buckets {
		most = max(most, b.Reference, b.Capture)
	}
	p.printf(`<text class="soft" x="%d" y="%d" text-anchor="end">%s</text>`+"\n", comparisonLeft-8, comparisonTop+10,
		shortNumber(float64(most)/p.Series.Length*1e9))
	height := func(packets int64) float64 { return float64(packets) / float64(most) }
	p.draw("run", func(b *compare.Bucket) float64 { return height(b.Reference) }, ratesBottom, comparisonRates)
	p.draw("line", func(b *compare.Bucket) float64 { return height(b.Capture) }, ratesBottom, comparisonRates)
}

// drawErrors draws the gap error on a logarithmic scale, from a nanosecond on.
func (p *comparisonPage) drawErrors() {
	most := int64(10)
	for _, b := range p.Series.Buckets {
		most = max(most, b.MaxGapError)
	}
	top := math.Ceil(math.Log10(float64(most)))
	height := func(nanoseconds float64) float64 {
		if nanoseconds <= 1 {
			return 0
		}
		return math.Log10(nanoseconds) / top
	}
	for power := 0.; power <= top; power++ {
		y := errorsBottom - power/top*comparisonErrors
		p.printf(`<path class="grid" d="M%d %.1fh%.1f"/>`, comparisonLeft, y, p.width)
		p.printf(`<text class="soft" x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", comparisonLeft-8, y+4, duration.Text(math.Pow(10, power-9)))
	}
	p.draw("run", func(b *compare.Bucket) float64 { return height(float64(b.MaxGapError)) }, errorsBottom, comparisonErrors)
	p.draw("rate", func(b *compare.Bucket) float64 {
		return height(b.SumGapError / float64(max(b.GapErrors, 1)))
	}, errorsBottom, comparisonErrors)
	p.printf(`<text class="soft" x="%d" y="%d">gap error: maximum (light) and mean (dark)</text>`+"\n", comparisonLeft, errorsBottom+20)
}

// draw draws heights from 0 to 1 above a base line.
func (p *comparisonPage) draw(class string, height func(*compare.Bucket) float64, base, scale float64) {
	step := p.width / float64(len(p.Series.Buckets))
	path := fmt.Appendf(nil, "M%d %g", comparisonLeft, base)
	for i := range p.Series.Buckets {
		path = fmt.Appendf(path, "V%.1fh%.2f", base-height(&p.Series.Buckets[i])*scale, step)
	}
	p.printf(`<path class="%s" d="%sV%g"/>`+"\n", class, path, base)
}

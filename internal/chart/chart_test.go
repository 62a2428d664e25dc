package chart

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// pictureOf makes a picture of captures that begin at the given seconds after lab.Start and
// run for four seconds.
func pictureOf(names []string, starts ...int) *Picture {
	p := &Picture{}
	for i, name := range names {
		capture := lab.Pcap(lab.Packets(400, lab.Start+int64(starts[i])*1e9, 10*time.Millisecond, 60), binary.LittleEndian, true)
		rate := new(survey.Rate)
		c, _ := survey.Take(stream.NewReader(bytes.NewReader(capture)), rate)
		c.Path = name
		p.Add(&c, rate)
	}
	return p
}

// No line of a chart is wider than the terminal, and no chart has more lines than the
// terminal, for any names and any number of captures.
func TestChartFits(t *testing.T) {
	var names []string
	var starts []int
	for i := range 300 {
		names = append(names, fmt.Sprintf("folder/%s-%03d.pcap", []string{"worker", "日本語", "a-name-that-is-much-longer-than-others-are"}[i%3], i))
		starts = append(starts, i%50)
	}
	p := pictureOf(names, starts...)
	for _, size := range []Size{{80, 24}, {200, 50}, {40, 7}, {80, 0}, {1, 1}} {
		var page bytes.Buffer
		if err := p.WriteText(&page, size); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(page.String(), "\n"), "\n")
		if size.Lines > 0 && len(lines) >= max(size.Lines, frameLines+1) || size.Lines == 0 && len(lines) != len(names)+frameLines-1 {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines[:len(lines)-2] { // the two lines of text may wrap
			if width := uniseg.StringWidth(line); width > max(size.Columns, minColumns) {
				t.Errorf("%v: a line of %d Columns: %s", size, width, line)
			}
		}
	}
}

func TestChartShowsOverlap(t *testing.T) {
	var page bytes.Buffer
	if err := pictureOf([]string{"a", "b", "c"}, 0, 2, 4).WriteText(&page, Size{Columns: 56}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(page.String(), "\n")
	for i, want := range []string{
		"a       " + strings.Repeat("█", 24) + strings.Repeat(" ", 24),
		"b       " + strings.Repeat(" ", 12) + strings.Repeat("█", 24) + strings.Repeat(" ", 12),
		"c       " + strings.Repeat(" ", 24) + strings.Repeat("█", 24),
	} {
		got := []rune(lines[i] + strings.Repeat(" ", 60))
		for column, r := range []rune(want) {
			if (got[column] == ' ') != (r == ' ') && column%12 != 8 { // except at the borders
				t.Errorf("line %q, wanted about %q", lines[i], want)
				break
			}
		}
	}
	if !strings.Contains(page.String(), "3 captures, up to 2 at once") {
		t.Error(page.String())
	}
}

// An SVG is well-formed and names every capture, whatever the names and times.
func TestSVGIsWellFormed(t *testing.T) {
	extremes := &Picture{}
	for _, times := range [][2]int64{{math.MinInt64, math.MaxInt64}, {0, 0}, {-1, 1}, {math.MaxInt64 - 1, math.MaxInt64}} {
		first, last := record.Time(times[0]), record.Time(times[1])
		extremes.Add(&record.Capture{Path: "<\x00\xff&\">", Packets: -1, Earliest: &first, Latest: &last}, nil)
	}
	many := &Picture{}
	for i := range 5000 {
		first, last := record.Time(i), record.Time(i*2)
		many.Add(&record.Capture{Path: fmt.Sprint(i), Earliest: &last, Latest: &first}, nil)
	}
	for name, p := range map[string]*Picture{
		"some": pictureOf([]string{"a", "b"}, 1, 2), "extremes": extremes, "many": many, "none": {},
		"no packets": {rows: []captureRow{{name: "a"}}},
	} {
		var page bytes.Buffer
		if err := p.WriteSVG(&page); err != nil {
			t.Fatal(err)
		}
		titles := 0
		decoder := xml.NewDecoder(&page)
		for {
			token, err := decoder.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if element, ok := token.(xml.StartElement); ok && element.Name.Local == "title" {
				titles++
			}
		}
		wanted := 1
		for _, group := range p.groups(svgOwnRows, svgMaxRows) {
			wanted++
			if len(group.rows) > 1 {
				wanted += len(group.rows)
			}
		}
		if titles != wanted {
			t.Errorf("%s: %d titles, wanted %d", name, titles, wanted)
		}
		var chart bytes.Buffer
		if err := p.WriteText(&chart, Size{Columns: 80}); err != nil {
			t.Fatal(err)
		}
	}
}

// A capture is visible, however short it is on the axis, and its text appears wherever the
// pointer is in its row.
func TestSVGShowsShortCaptures(t *testing.T) {
	const year = 365 * 86400
	var page bytes.Buffer
	if err := pictureOf([]string{"a", "b", "c"}, 0, year, 8*year).WriteSVG(&page); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(page.String(), `<g class="row">`)[1:]
	for i, row := range rows {
		if !regexp.MustCompile(`<rect class="rate" x="[0-9.]+" y="[0-9.]+" width="2"`).MatchString(strings.ReplaceAll(row, "2.0", "2")) {
			t.Errorf("row %d has no mark: %s", i, row)
		}
		if !strings.Contains(row, `width="1200"`) {
			t.Errorf("row %d is not all there to point at: %s", i, row)
		}
	}
	if len(rows) != 3 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestTicksAreRoundAndFit(t *testing.T) {
	for _, length := range []int64{0, 1, 999, 1e6, 7e9, 61e9, 3599e9, 86400e9, 40 * 86400e9, 9e18} {
		p := &Picture{start: lab.Start % 1e18, timed: 1}
		p.end = p.start + min(length, math.MaxInt64-p.start)
		width := 0
		for _, tick := range p.ticks(100) {
			width += len(tick.label)
			if tick.time < p.start || tick.time > p.end {
				t.Errorf("%s: a tick at %d", p.describeRange(), tick.time)
			}
		}
		if width > 100+20 || length > 1 && width == 0 {
			t.Errorf("%s: %d characters of labels on 100 columns", p.describeRange(), width)
		}
	}
}

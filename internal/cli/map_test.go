package cli

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// The whole corpus in one run: a record for each capture of the index, the same
// with any number of jobs, in little memory.
func TestMapCorpus(t *testing.T) {
	corpus := lab.Corpus(t)
	index, err := os.ReadFile(filepath.Join(corpus, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	captures := map[string]bool{}
	for line := range strings.Lines(string(index)) {
		path, _, _ := strings.Cut(line, "\t")
		captures[filepath.Join(corpus, path)] = true
	}
	// The heading of the table, a capture in a format that is no pcap, and one that
	// is cut inside its file header.
	delete(captures, filepath.Join(corpus, "path"))
	delete(captures, filepath.Join(corpus, "PcapPlusPlus/Pcap++Test/PcapExamples/solaris.snoop"))
	delete(captures, filepath.Join(corpus, "joincap/partial_global_header.pcap"))

	one, messages := mapFolder(t, corpus, 1)
	for _, c := range decodeCaptures(t, one) {
		if !captures[c.Path] {
			t.Errorf("%s: is no capture of the index, or has two records", c.Path)
		}
		delete(captures, c.Path)
	}
	for path := range captures {
		t.Errorf("%s: has no record", path)
	}
	if four, again := mapFolder(t, corpus, 4); four != one || again != messages {
		t.Error("four jobs print something else than one")
	}
}

// mapFolder runs pcap-map as a process of its own, over damaged captures among
// others.
func mapFolder(t *testing.T, folder string, jobs int) (records, messages string) {
	t.Helper()
	const memory = 256 << 20
	command := exec.Command("pcap-map", "--jobs", fmt.Sprint(jobs), folder)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if command.ProcessState.ExitCode() != exitDamaged {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if usage := command.ProcessState.SysUsage().(*syscall.Rusage); usage.Maxrss > memory>>10 {
		t.Errorf("%d KiB of memory, wanted at most %d", usage.Maxrss, memory>>10)
	}
	return stdout.String(), stderr.String()
}

func decodeCaptures(t *testing.T, records string) (captures []record.Capture) {
	t.Helper()
	decoder := record.NewDecoder(strings.NewReader(records))
	for {
		var c record.Capture
		switch err := decoder.Decode(&c); err {
		case nil:
			captures = append(captures, c)
		case io.EOF:
			return captures
		default:
			t.Fatal(err)
		}
	}
}

// Wherever a capture is cut, the tool says how much of it there is and how much
// is lost, and so do its exit code and its summary.
func TestMapOfCutCapture(t *testing.T) {
	whole := lab.Pcap(lab.Packets(3, lab.Start, time.Second, 60), binary.BigEndian, false)
	report := filepath.Join(t.TempDir(), "report")
	for size := range len(whole) + 1 {
		code, out, messages := run(Map(), whole[:size], "--report", report)
		events, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		packets, rest := (size-24)/76, (size-24)%76
		wantedCode, wanted := exitDone, fmt.Sprintf(`"packets":%d,`, packets)
		switch {
		case size == 0:
			wanted = `"packets":0,`
		case size < 24:
			wantedCode, wanted = exitFailed, ""
		case rest > 0:
			wantedCode = exitDamaged
			if lost := fmt.Sprintf(`"lost_bytes":%d}`, rest); !strings.Contains(out, lost) {
				t.Errorf("cut at %d: %s, wanted %s", size, out, lost)
			}
		}
		if code != wantedCode || !strings.Contains(out, wanted) || (out == "") != (wanted == "") || (messages == "") != (code == exitDone) {
			t.Errorf("cut at %d: exit %d, %q, %q; wanted %d, %s", size, code, out, messages, wantedCode, wanted)
		}
		if !strings.Contains(string(events), fmt.Sprintf(`"event":"summary","tool":"pcap-map","exit":%d,`, code)) {
			t.Errorf("cut at %d: exit %d, and the report says %s", size, code, events)
		}
	}
}

// Records come while the input is still being read: nobody waits for the last.
func TestMapStreamsRecords(t *testing.T) {
	folder := t.TempDir()
	capture := lab.Pcap(lab.Packets(2, lab.Start, time.Second, 60), binary.LittleEndian, true)
	first, pipe := filepath.Join(folder, "a.pcap"), filepath.Join(folder, "b.pcap")
	if err := os.WriteFile(first, capture, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	command := exec.Command("pcap-map", "--jobs", "2", first, pipe)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	for _, path := range []string{first, pipe} {
		line, err := lines.ReadString('\n')
		if err != nil || !strings.Contains(line, path) {
			t.Errorf("%v, %q, wanted the record of %s", err, line, path)
		}
		if path == first { // its record is there before the other file is
			if err := os.WriteFile(pipe, capture, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}

// A signal ends the run while it waits for a stream, with the summary of what was
// done before.
func TestMapEndsBySignal(t *testing.T) {
	folder := t.TempDir()
	capture, report := filepath.Join(folder, "a.pcap"), filepath.Join(folder, "report")
	if err := os.WriteFile(capture, lab.Pcap(lab.Packets(2, lab.Start, time.Second, 60), binary.LittleEndian, true), 0o666); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("pcap-map", "--report", report, capture, "-")
	silent, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = command.Process.Signal(syscall.SIGINT)
	_ = command.Wait()
	events, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	if code := command.ProcessState.ExitCode(); code != 128+int(syscall.SIGINT) || !strings.Contains(string(events), `"exit":130,`) || !strings.Contains(string(events), `"captures":1,"packets":2,`) {
		t.Errorf("exit %d, %s", code, events)
	}
}

// pictureOf makes a picture of captures that begin at the given seconds behind
// lab.Start and run for four.
func pictureOf(names []string, starts ...int) *picture {
	p := &picture{}
	for i, name := range names {
		capture := lab.Pcap(lab.Packets(400, lab.Start+int64(starts[i])*1e9, 10*time.Millisecond, 60), binary.LittleEndian, true)
		rate := new(survey.Rate)
		c, _ := survey.Take(stream.NewReader(bytes.NewReader(capture)), rate)
		c.Path = name
		p.add(&c, rate)
	}
	return p
}

// No line of a chart is wider than the terminal, and no chart longer, whatever
// the names and however many captures there are.
func TestChartFits(t *testing.T) {
	var names []string
	var starts []int
	for i := range 300 {
		names = append(names, fmt.Sprintf("folder/%s-%03d.pcap", []string{"worker", "日本語", "a-name-that-is-much-longer-than-others-are"}[i%3], i))
		starts = append(starts, i%50)
	}
	p := pictureOf(names, starts...)
	for _, size := range []chartSize{{80, 24}, {200, 50}, {40, 7}, {80, 0}, {1, 1}} {
		var page bytes.Buffer
		if err := p.chart(&page, size); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(page.String(), "\n"), "\n")
		if size.lines > 0 && len(lines) >= max(size.lines, chartFrame+1) || size.lines == 0 && len(lines) != len(names)+chartFrame-1 {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines[:len(lines)-2] { // the words may wrap
			if width := uniseg.StringWidth(line); width > max(size.columns, minChartColumns) {
				t.Errorf("%v: a line of %d columns: %s", size, width, line)
			}
		}
	}
}

func TestChartShowsOverlap(t *testing.T) {
	var page bytes.Buffer
	if err := pictureOf([]string{"a", "b", "c"}, 0, 2, 4).chart(&page, chartSize{columns: 56}); err != nil {
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
			if (got[column] == ' ') != (r == ' ') && column%12 != 8 { // but for the borders
				t.Errorf("line %q, wanted about %q", lines[i], want)
				break
			}
		}
	}
	if !strings.Contains(page.String(), "3 captures, up to 2 at once") {
		t.Error(page.String())
	}
}

// In a terminal the chart is as wide as that; in a pipe it is not.
func TestChartInTerminal(t *testing.T) {
	folder := t.TempDir()
	data := lab.Pcap(lab.Packets(1000, lab.Start, time.Millisecond, 60), binary.LittleEndian, true)
	if err := os.WriteFile(filepath.Join(folder, "a.pcap"), data, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, columns := range []int{80, 200} {
		command := exec.Command("pcap-map", "--chart", "a.pcap")
		command.Dir = folder
		terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: uint16(columns)})
		if err != nil {
			t.Skipf("no pseudo-terminal here: %v", err)
		}
		out, _ := io.ReadAll(terminal) // ends with EIO when the tool does
		terminal.Close()
		if err := command.Wait(); err != nil {
			t.Error(err)
		}
		widest := 0
		for line := range strings.Lines(string(out)) {
			widest = max(widest, uniseg.StringWidth(strings.TrimSpace(line)))
		}
		if widest != columns {
			t.Errorf("%d columns in a terminal of %d: %s", widest, columns, out)
		}
	}
}

// An SVG is well-formed and names every capture, whatever the names and times.
func TestSVGIsWellFormed(t *testing.T) {
	extremes := &picture{}
	for _, times := range [][2]int64{{math.MinInt64, math.MaxInt64}, {0, 0}, {-1, 1}, {math.MaxInt64 - 1, math.MaxInt64}} {
		first, last := record.Time(times[0]), record.Time(times[1])
		extremes.add(&record.Capture{Path: "<\x00\xff&\">", Packets: -1, Earliest: &first, Latest: &last}, nil)
	}
	many := &picture{}
	for i := range 5000 {
		first, last := record.Time(i), record.Time(i*2)
		many.add(&record.Capture{Path: fmt.Sprint(i), Earliest: &last, Latest: &first}, nil)
	}
	for name, p := range map[string]*picture{
		"some": pictureOf([]string{"a", "b"}, 1, 2), "extremes": extremes, "many": many, "none": {},
		"no packets": {rows: []pictureRow{{name: "a"}}},
	} {
		var page bytes.Buffer
		if err := p.svg(&page); err != nil {
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
		if wanted := 1 + len(p.groups(svgMaxRows)); titles != wanted {
			t.Errorf("%s: %d titles, wanted %d", name, titles, wanted)
		}
		var chart bytes.Buffer
		if err := p.chart(&chart, chartSize{columns: 80}); err != nil {
			t.Fatal(err)
		}
	}
}

// However short a capture is on the axis, it is seen, and its words come wherever
// one points into its row.
func TestSVGShowsShortCaptures(t *testing.T) {
	const year = 365 * 86400
	var page bytes.Buffer
	if err := pictureOf([]string{"a", "b", "c"}, 0, year, 8*year).svg(&page); err != nil {
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
		p := &picture{start: lab.Start % 1e18, timed: 1}
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

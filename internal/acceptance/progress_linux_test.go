package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"

	"pcap-replay/internal/lab"
)

// screen is a terminal, as far as the tools know what one can do: carriage return,
// line feed, and "erase to the end of the line".
type screen struct {
	columns int
	rows    [][]string // of characters
	row     int
	column  int
	frames  []string // lines that were drawn to be drawn over
	faults  []string
}

func (s *screen) write(text string) {
	for at := uniseg.NewGraphemes(text); at.Next(); {
		switch character := at.Str(); character {
		case "\r":
			s.column = 0
		case "\n":
			s.row++
		case "\r\n":
			s.row, s.column = s.row+1, 0
		case "\x1b":
			if at.Next(); at.Str() != "[" {
				s.faults = append(s.faults, fmt.Sprintf("escape %q", at.Str()))
			}
			if at.Next(); at.Str() != "K" {
				s.faults = append(s.faults, fmt.Sprintf("escape [%q", at.Str()))
			}
			s.eraseRest()
		default:
			s.put(character)
		}
	}
}

func (s *screen) put(character string) {
	if s.column >= s.columns {
		s.row, s.column = s.row+1, 0
	}
	for len(s.rows) <= s.row {
		s.rows = append(s.rows, nil)
	}
	line := s.rows[s.row]
	for len(line) <= s.column {
		line = append(line, " ")
	}
	line[s.column] = character
	s.rows[s.row] = line
	s.column++
}

// eraseRest ends a frame: the progress line is the only one that is erased.
func (s *screen) eraseRest() {
	if s.row >= len(s.rows) {
		return
	}
	s.rows[s.row] = s.rows[s.row][:min(s.column, len(s.rows[s.row]))]
	if s.column > 0 {
		s.frames = append(s.frames, s.line(s.row))
	}
}

func (s *screen) line(row int) string { return strings.TrimRight(strings.Join(s.rows[row], ""), " ") }

// lines are what stands on the screen, and those that wrapped are not put together.
func (s *screen) lines() (lines []string) {
	for row := range s.rows {
		lines = append(lines, s.line(row))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// terminalRun is a pipeline on a terminal of so many columns. What during does, if
// it is not nil, it does once something was drawn.
type terminalRun struct {
	pipeline string
	columns  int
	during   func(terminal *os.File, s *screen)

	*screen
	lasted time.Duration
	code   int
	err    error
}

// runOnTerminals runs all at the same time, as they mostly wait.
func runOnTerminals(t *testing.T, runs ...*terminalRun) {
	t.Helper()
	var running sync.WaitGroup
	for _, r := range runs {
		running.Go(r.run)
	}
	running.Wait()
	for _, r := range runs {
		if r.err != nil || len(r.faults) > 0 {
			t.Fatalf("%s: %v, %q", r.pipeline, r.err, r.faults)
		}
	}
}

func (r *terminalRun) run() {
	r.screen = &screen{columns: r.columns}
	command := exec.Command("bash", "-c", r.pipeline)
	var terminal *os.File
	if terminal, r.err = pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: uint16(r.columns)}); r.err != nil {
		return
	}
	defer terminal.Close()
	written := make(chan string)
	go func() {
		defer close(written)
		buffer := make([]byte, 1<<16)
		for {
			n, err := terminal.Read(buffer)
			written <- string(buffer[:n])
			if err != nil { // EIO: the other end is closed
				return
			}
		}
	}()
	began := time.Now()
	for text := range written {
		r.write(text)
		if r.during != nil && len(r.lines()) > 0 {
			r.during(terminal, r.screen)
			r.during = nil
		}
	}
	r.lasted = time.Since(began)
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) {
		r.err = err
	}
	r.code = command.ProcessState.ExitCode()
}

const (
	// barLine is drawn where it is known how much there is to read, countLine where
	// it is not, and sentLine by pcap-inject.
	barLine   = `^%s +\d{1,2}% \|[█ ]{20}\| \([\d.]+ ?k?B?/%s(, [\d.]+ kB/s)?\) \[\ds:\ds\]$`
	countLine = `^[⠀-⣿] %s \( ?[\d.]+ k?B(, [\d.]+ kB/s)?\) \[\ds\]$`
	sentLine  = `^([⠀-⣿] )?\d+ sent, [\d.]+ pps, [\d.]+ [kM]?bit/s, p99 [\d.]+ [num]?s late, buffer [\d.]+ [num]?s ahead +(\d{1,2}% +)?\[(\ds:)?\ds\]$`
)

func bar(tool, total string) string {
	return strings.Replace(strings.Replace(barLine, "%s", tool, 1), "%s", regexp.QuoteMeta(total), 1)
}

func counts(words string) string { return strings.Replace(countLine, "%s", words, 1) }

// makeSlow goes to a folder with captures that take almost three seconds each: there is
// time to draw twice, also on a busy machine.
func makeSlow(t *testing.T) {
	t.Helper()
	linkTools(t)
	t.Chdir(t.TempDir())
	if err := os.Mkdir("growing", 0o777); err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(71, lab.Start, 40*time.Millisecond, 984)
	lab.WriteCapture(t, "slow.pcap", packets)
	data := pcap(packets)
	if err := os.WriteFile("cut.pcap", data[:len(data)-10], 0o666); err != nil {
		t.Fatal(err)
	}
}

// One tool of a pipeline draws, and only onto a terminal; when it has ended,
// nothing of the line is left.
func TestProgressIsDrawnByOne(t *testing.T) {
	makeSlow(t)
	cases := []struct {
		name, pipeline, frame string // of each frame; "" for none
		lines                 []string
	}{
		{"a file", `pcap-pace -o /dev/null slow.pcap`, bar("pcap-pace", "71 kB"), nil},
		{"a file on stdin", `pcap-pace -o /dev/null < slow.pcap`, bar("pcap-pace", "71 kB"), nil},
		{"two rounds", `pcap-pace --speed 2 --loop 2 -o /dev/null slow.pcap`, bar("pcap-pace", "142 kB"), nil},
		{"a stream", `pcap-pace slow.pcap | pcap-merge -o /dev/null`, counts(`pcap-merge: reading stdin, no output yet`), nil},
		{"an injector", `pcap-inject --delay 10ms -w /dev/null slow.pcap 2>&1 | cat`, "", []string{`sent 71 packets`, `lateness`}},
		{"a pipeline", `pcap-merge slow.pcap | pcap-pace | pcap-inject -w - | cat > /dev/null`, "", []string{`sent 71 packets`, `lateness`}},
		{"into a pipe", `pcap-pace slow.pcap | cat > /dev/null`, "", nil},
		{"quiet", `pcap-pace -q -o /dev/null slow.pcap`, "", nil},
		{"never", `pcap-pace --progress never -o /dev/null slow.pcap`, "", nil},
		{"always", `pcap-pace --progress always -q slow.pcap | cat > /dev/null`, bar("pcap-pace", "71 kB"), nil},
		{"no terminal", `pcap-pace -o /dev/null slow.pcap 2> other && cat other`, "", nil},
		{"always, elsewhere", `pcap-pace --progress always -o /dev/null slow.pcap 2> log; cat log`, bar("pcap-pace", "71 kB"), nil},
		{"a dumb terminal", `TERM=dumb pcap-pace -o /dev/null slow.pcap`, "", nil},
		{"the background", `set -m; pcap-pace -o /dev/null slow.pcap & set +m; wait`, "", nil},
	}
	var runs []*terminalRun
	for _, c := range cases {
		runs = append(runs, &terminalRun{pipeline: c.pipeline, columns: 120})
	}
	runOnTerminals(t, runs...)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if runs[i].code != exitDone {
				t.Errorf("exit %d", runs[i].code)
			}
			expectFrames(t, runs[i], c.frame)
			expectLines(t, runs[i].screen, c.lines)
		})
	}
}

// expectFrames wants frames that all look alike, twice a second.
func expectFrames(t *testing.T, r *terminalRun, pattern string) {
	t.Helper()
	if pattern == "" {
		if len(r.frames) > 0 {
			t.Errorf("drew %q", r.frames)
		}
		return
	}
	// One more is drawn at the end.
	if most := int(2*r.lasted.Seconds()) + 2; len(r.frames) < 2 || len(r.frames) > most {
		t.Errorf("drew %d times in %v: %q", len(r.frames), r.lasted, r.frames)
	}
	for _, frame := range r.frames {
		if !regexp.MustCompile(pattern).MatchString(frame) {
			t.Errorf("drew %q, wanted %s", frame, pattern)
		}
	}
}

// isBar reports whether a line is one of the histogram of pcap-inject.
func isBar(line string) bool { return strings.HasPrefix(line, "pcap-inject: up to ") }

// isUnsure reports whether a line comes on some machines only. A busy machine interrupts
// tools for longer than half a second, which takes two lines to say.
func isUnsure(line string) bool {
	return isBar(line) || strings.Contains(line, " underrun") || strings.Contains(line, " nothing for ") || strings.HasSuffix(line, "that much later")
}

// expectLines wants lines with these words on the screen, and no others for sure.
func expectLines(t *testing.T, s *screen, words []string) {
	t.Helper()
	lines := slices.DeleteFunc(s.lines(), isUnsure)
	if len(lines) != len(words) {
		t.Errorf("%d lines, wanted %d: %q", len(lines), len(words), lines)
		return
	}
	for i, line := range lines {
		if !strings.Contains(line, words[i]) {
			t.Errorf("line %q, wanted %q", line, words[i])
		}
	}
}

// pcap-inject shows what counts when packets are sent, twice a second.
func TestProgressOfInjector(t *testing.T) {
	makeSlow(t)
	runs := []*terminalRun{
		{columns: 120, pipeline: `pcap-inject --delay 10ms -w /dev/null slow.pcap`},
		{columns: 120, pipeline: `pcap-merge slow.pcap | pcap-pace | pcap-inject --delay 10ms -w /dev/null`},
	}
	runOnTerminals(t, runs...)
	for _, r := range runs {
		expectFrames(t, r, sentLine)
		expectLines(t, r.screen, []string{"sent 71 packets", "lateness"})
		if !slices.ContainsFunc(r.lines(), isBar) {
			t.Errorf("%s: no histogram in %q", r.pipeline, r.lines())
		}
	}
}

// A merge that still reads says so in the middle of a pipeline. The last tool draws when
// something has come through.
func TestProgressOfStages(t *testing.T) {
	makeSlow(t)
	makeTarballs(t)
	r := &terminalRun{columns: 120, pipeline: `(head -c 60000 set.tar; sleep 2; tail -c +60001 set.tar) | pcap-merge | pcap-inject --delay 10ms -w /dev/null`}
	runOnTerminals(t, r)
	reading := regexp.MustCompile(counts(`pcap-merge: reading stdin, no output yet`))
	sent := slices.IndexFunc(r.frames, func(frame string) bool { return !reading.MatchString(frame) })
	if sent < 2 {
		t.Fatalf("drew %q, wanted first the reading", r.frames)
	}
	for _, frame := range r.frames[sent:] {
		if !regexp.MustCompile(sentLine).MatchString(frame) {
			t.Errorf("drew %q, wanted %s", frame, sentLine)
		}
	}
}

// What a tool says, and the data it writes to the same terminal, stand on lines of
// their own.
func TestProgressMakesWay(t *testing.T) {
	makeSlow(t)
	makeTarballs(t)
	cases := []struct {
		pipeline string
		code     int
		lines    []string
	}{
		{`cp slow.pcap again.pcap; pcap-merge --strict slow.pcap > /dev/null; cat slow.pcap | pcap-pace -o /dev/null cut.pcap -`, exitDamaged, []string{"error: cut.pcap: offset"}},
		{`(head -c 60000 set.tar; sleep 1.5; tail -c +60001 set.tar; sleep 1.5) | pcap-tarls --names -`, exitDone, []string{"slow/cut.pcap", "slow/slow.pcap"}},
		{`pcap-pace -o /dev/null --report /dev/stderr --progress always cut.pcap`, exitDamaged, []string{`error: cut.pcap`, `{"event":"damaged"`, `{"event":"summary"`}},
		{`pcap-pace --report /dev/stdout -o /dev/null cut.pcap`, exitDamaged, []string{`error: cut.pcap`, `{"event":"damaged"`, `{"event":"summary"`}},
		{`pcap-pace -o /dev/null slow.pcap & wait; pcap-pace --report runs -o /dev/null slow.pcap & until [ -e runs ]; do sleep 0.01; done; kill -USR1 $!; wait`, exitDone, []string{"packets in"}},
	}
	var runs []*terminalRun
	for _, c := range cases {
		runs = append(runs, &terminalRun{pipeline: c.pipeline, columns: 300})
	}
	runOnTerminals(t, runs...)
	for i, c := range cases {
		t.Run(c.pipeline, func(t *testing.T) {
			if runs[i].code != c.code {
				t.Errorf("exit %d, wanted %d", runs[i].code, c.code)
			}
			if len(runs[i].frames) < 2 {
				t.Errorf("drew %q", runs[i].frames)
			}
			expectLines(t, runs[i].screen, c.lines)
		})
	}
}

// makeTarballs makes set.tar and set.tar.gz of slow.pcap and cut.pcap.
func makeTarballs(t *testing.T) {
	t.Helper()
	var tarball bytes.Buffer
	if err := lab.WriteTar(&tarball, "slow", []string{"slow.pcap", "cut.pcap"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("set.tar", tarball.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

// SIGINT takes the line away, and what the tool says of its end remains.
func TestProgressEndsWithASignal(t *testing.T) {
	makeSlow(t)
	interrupt := func(terminal *os.File, _ *screen) { _, _ = terminal.WriteString("\x03") }
	cases := []struct {
		pipeline string
		code     int
		lines    []string
	}{
		{`exec pcap-pace -o /dev/null --loop 0 slow.pcap`, 130, []string{"packets in"}},
		{`exec pcap-inject -w /dev/null --delay 10ms slow.pcap`, 130, []string{"sent", "lateness", "read, but not sent"}},
		{`exec pcap-merge -o out.pcap --follow growing`, 130, nil},
		{`mkfifo silent; exec 3<> silent; exec pcap-map silent`, 130, nil},
	}
	var runs []*terminalRun
	for _, c := range cases {
		runs = append(runs, &terminalRun{pipeline: c.pipeline, columns: 300, during: interrupt})
	}
	runOnTerminals(t, runs...)
	for i, c := range cases {
		t.Run(c.pipeline, func(t *testing.T) {
			if runs[i].code != c.code {
				t.Errorf("exit %d, wanted %d", runs[i].code, c.code)
			}
			if len(runs[i].frames) == 0 {
				t.Error("drew nothing")
			}
			expectLines(t, runs[i].screen, c.lines)
		})
	}
}

// A line is cut to what fits, also when the terminal becomes narrower.
func TestProgressFitsIntoTerminal(t *testing.T) {
	makeSlow(t)
	var runs []*terminalRun
	for _, columns := range []int{1, 2, 3, 20, 60} {
		runs = append(runs, &terminalRun{
			pipeline: `exec pcap-pace --speed 0.5 -o /dev/null slow.pcap`, columns: columns,
			during: func(terminal *os.File, _ *screen) {
				_ = pty.Setsize(terminal, &pty.Winsize{Rows: 24, Cols: uint16(max(columns/2, 1))})
			},
		})
	}
	runOnTerminals(t, runs...)
	for _, r := range runs {
		expectLines(t, r.screen, nil)
		narrower := max(r.screen.columns/2, 1)
		if narrower == 1 {
			continue // there is no room for anything
		}
		first, last := r.frames[0], r.frames[len(r.frames)-1]
		if uniseg.StringWidth(first) >= r.screen.columns || uniseg.StringWidth(last) != narrower-1 {
			t.Errorf("drew %q in %d columns, and then in %d", r.frames, r.screen.columns, narrower)
		}
	}
}

// In archives, what counts is how much of the file has been read, with an index and
// without.
func TestProgressInArchives(t *testing.T) {
	makeSlow(t)
	lab.NeedProgram(t, "pv", "mkfifo", "gzip", "tar")
	random := rand.NewChaCha8([32]byte{})
	packets := lab.Packets(6000, lab.Start, time.Millisecond, 1000)
	for i := range packets {
		_, _ = random.Read(packets[i].Data[42:])
	}
	lab.WriteCapture(t, "large.pcap", packets)
	shell(t, `tar -cf - large.pcap | gzip -1 > large.tar.gz && cp large.tar.gz indexed.tar.gz && pcap-tarls --index indexed.tar.gz && mkfifo one two`)
	info, err := os.Stat("large.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	runs := []*terminalRun{
		{columns: 100, pipeline: `pv -qL 2M < one > /dev/null & pcap-tarcat -o one large.tar.gz; wait`},
		{columns: 100, pipeline: `pv -qL 2M < two > /dev/null & pcap-merge -o two indexed.tar.gz; wait`},
	}
	runOnTerminals(t, runs...)
	for _, r := range runs {
		expectFrames(t, r, fmt.Sprintf(`^pcap-\w+ +\d{1,2}%% \|[█ ]{20}\| \([\d.]+( MB)?/%.1f MB`, float64(info.Size())/1e6))
		if len(r.frames) > 1 && r.frames[0][:20] == r.frames[len(r.frames)-1][:20] {
			t.Errorf("%s: nothing moves in %q", r.pipeline, r.frames)
		}
	}
}

// A capture does not go to a terminal, whatever it is called, and none is read
// from one.
func TestCapturesAreNotForTerminals(t *testing.T) {
	makeSlow(t)
	wantOther := "is a terminal, and a capture is binary"
	for pipeline, want := range map[string]string{
		`pcap-merge slow.pcap`:                        "pcap-merge: error: stdout " + wantOther,
		`pcap-merge -o /dev/tty slow.pcap`:            "pcap-merge: error: /dev/tty " + wantOther,
		`pcap-pace --asap -o /dev/stdout slow.pcap`:   "pcap-pace: error: /dev/stdout " + wantOther,
		`pcap-inject --asap -w - slow.pcap`:           "pcap-inject: error: stdout " + wantOther,
		`pcap-inject --asap -w /dev/stderr slow.pcap`: "pcap-inject: error: /dev/stderr " + wantOther,
		`pcap-map`:                          "pcap-map: error: stdin is a terminal",
		`pcap-merge | cat`:                  "pcap-merge: error: stdin is a terminal",
		`pcap-map --chart --from-records -`: "pcap-map: error: --from-records stdin: is a terminal",
	} {
		r := &terminalRun{pipeline: "set -o pipefail; " + pipeline, columns: 100}
		runOnTerminals(t, r)
		if lines := r.lines(); r.code != exitUsage || len(lines) == 0 || lines[0] != want {
			t.Errorf("%s: exit %d, %q, wanted %q", pipeline, r.code, lines, want)
		}
	}
}

// A message begins its own line, even if the line already has text: a ^C that the user typed,
// or the message of another tool.
func TestMessagesBeginTheirLine(t *testing.T) {
	makeSlow(t)
	r := &terminalRun{pipeline: "printf '^C' >&2; pcap-map missing.pcap; TERM=dumb pcap-map gone.pcap; pcap-map gone.pcap 2> said; wc -l < said", columns: 100}
	runOnTerminals(t, r)
	want := []string{"pcap-map: error: missing.pcap: no such file or directory", "pcap-map: error: gone.pcap: no such file or directory", "1"}
	if lines := r.lines(); !slices.Equal(lines, want) {
		t.Errorf("%q, wanted %q", lines, want)
	}
	if said, err := os.ReadFile("said"); err != nil || strings.Contains(string(said), "\x1b") {
		t.Errorf("a file has %q, %v", said, err)
	}
}

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tool/tooltest"
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
			t.Errorf("%s: is not a capture of the index, or has two records", c.Path)
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
	if command.ProcessState.ExitCode() != tool.ExitDamaged {
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
		code, out, messages := tooltest.Run(mapper(), whole[:size], "--report", report)
		events, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		packets, rest := (size-24)/76, (size-24)%76
		wantedCode, wanted := tool.ExitDone, fmt.Sprintf(`"packets":%d,`, packets)
		switch {
		case size == 0:
			wanted = `"packets":0,`
		case size < 24:
			wantedCode, wanted = tool.ExitFailed, ""
		case rest > 0:
			wantedCode = tool.ExitDamaged
			if lost := fmt.Sprintf(`"lost_bytes":%d}`, rest); !strings.Contains(out, lost) {
				t.Errorf("cut at %d: %s, wanted %s", size, out, lost)
			}
		}
		if code != wantedCode || !strings.Contains(out, wanted) || (out == "") != (wanted == "") || (messages == "") != (code == tool.ExitDone) {
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

// In a terminal the chart is as wide as that; in a pipe it is not.
func TestChartInTerminal(t *testing.T) {
	folder := t.TempDir()
	data := lab.Pcap(lab.Packets(1000, lab.Start, time.Millisecond, 60), binary.LittleEndian, true)
	if err := os.WriteFile(filepath.Join(folder, "a.pcap"), data, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, columns := range []int{80, 200} {
		out := inTerminal(t, folder, columns, "--chart", "a.pcap")
		if got := widest(out); got != columns {
			t.Errorf("%d columns in a terminal of %d: %s", got, columns, out)
		}
	}
}

// inTerminal runs pcap-map in a folder with a terminal of so many columns, and returns what
// it prints there.
func inTerminal(t *testing.T, folder string, columns int, args ...string) string {
	t.Helper()
	command := exec.Command("pcap-map", args...)
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
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

func widest(text string) (columns int) {
	for line := range strings.Lines(text) {
		columns = max(columns, uniseg.StringWidth(strings.TrimSpace(line)))
	}
	return columns
}

// A terminal gets a table that fits. --json, -o and a pipe get records.
func TestTableInTerminal(t *testing.T) {
	folder := t.TempDir()
	for name, count := range map[string]int{"a.pcap": 1000, "a-capture-of-a-worker-with-a-long-name-2020-09-13-0001.pcap": 20} {
		data := lab.Pcap(lab.Packets(count, lab.Start, time.Millisecond, 60), binary.LittleEndian, true)
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	const want = `
CAPTURE                      PACKETS    BYTES          FIRST (UTC)  DURATION  PACKETS/S
a-capture-of-…-13-0001.pcap       20   1.2 kB  2020-09-13 12:26:40     19 ms      1.05k
a.pcap                          1000    60 kB  2020-09-13 12:26:40    999 ms         1k
2 captures                      1020  61.2 kB  2020-09-13 12:26:40    999 ms      1.02k
`
	if got := inTerminal(t, folder, 87, "."); "\n"+got != want {
		t.Errorf("got\n%s\nwanted\n%s", got, want)
	}
	for _, columns := range []int{1, 10, 30, 40, 60, 80, 132} {
		got := inTerminal(t, folder, columns, ".")
		if got := widest(got); got > max(columns, 1) {
			t.Errorf("%d columns in a terminal of %d", got, columns)
		}
		if lines := strings.Count(got, "\n"); lines != 4 {
			t.Errorf("%d lines in a terminal of %d columns:\n%s", lines, columns, got)
		}
	}
	if got := inTerminal(t, folder, 80, "--json", "a.pcap"); !strings.HasPrefix(got, `{"path":"a.pcap",`) {
		t.Errorf("--json: %s", got)
	}
	if got := inTerminal(t, folder, 80, "-o", "records", "a.pcap"); got != "" {
		t.Errorf("-o: %s", got)
	}
	if got := inTerminal(t, folder, 80, "--against", "a.pcap", "a.pcap"); !strings.HasPrefix(got, "reference      1000 packets, 60000 bytes\n") || strings.Contains(got, "{") {
		t.Errorf("--against: %s", got)
	}
}

package acceptance

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// endedRun is a run of a tool in a folder of its own, with what it leaves there.
type endedRun struct {
	folder   string
	state    *os.ProcessState
	messages string
	took     time.Duration
}

// signalCase is a run that a signal may end. Its streams go to the files "stdout"
// and "report", its temporary files to the folder "tmp".
type signalCase struct {
	name  string
	args  []string
	stdin string // a file, or ""
	// whole are the files that appear under their names when they are whole, and then
	// are what an undisturbed run leaves. A folder has such files in it.
	whole []string
	// capture is the file that has whole packets, as many as the summary says, however
	// the run ends.
	capture string
	// losses are the counters that make up packets_in together with packets_out.
	losses []string
}

var mergeLosses = []string{"out_of_range", "other_shards", "filtered", "unwritable", "duplicates", "interrupted"}

// signalCases take a fifth of a second at most each. Their inputs are one folder up.
var signalCases = []signalCase{
	{"pcap-tarls", []string{"--index", "set.tar.gz"}, "", []string{"set.tar.gz.tarx"}, "", nil},
	{"pcap-tarcat", []string{"-o", "out.pcap", "set.tar.gz"}, "", []string{"out.pcap"}, "", nil},
	{"pcap-tarcat", []string{"-C", "out", "-z", "lz4", "set.tar.gz", "."}, "", []string{"out"}, "", nil},
	{"pcap-map", []string{"--svg", "out.svg", "../captures"}, "", []string{"out.svg"}, "", nil},
	{"pcap-merge", []string{"-o", "out.pcap", "../captures"}, "", []string{"out.pcap"}, "", mergeLosses},
	{"pcap-merge", []string{"../captures"}, "", nil, "stdout", mergeLosses},
	{"pcap-merge", []string{"--memory", "1MiB", "-z", "lz4"}, "../sections", nil, "stdout", mergeLosses},
	{"pcap-merge", []string{"-o", "out.pcap", "set.tar.gz"}, "", []string{"out.pcap"}, "", mergeLosses},
	{"pcap-pace", []string{"--fit", "100ms", "../sections"}, "", nil, "stdout", []string{"out_of_range", "interrupted"}},
	{"pcap-pace", []string{"--fit", "100ms", "-o", "out.pcap", "../sections"}, "", []string{"out.pcap"}, "", []string{"out_of_range", "interrupted"}},
	{"pcap-inject", []string{"--delay", "50ms", "-w", "out.pcap", "../short.pcap"}, "", nil, "out.pcap", []string{"filtered", "read_ahead"}},
}

// makeSignalSet makes the inputs of signalCases.
func makeSignalSet(t *testing.T) {
	t.Helper()
	makeSet(t, lab.WorkerSet{Workers: 4, Packets: 40000, Duration: time.Second, FileSize: 1 << 20, Seed: 3})
	files, err := filepath.Glob("captures/*")
	if err != nil {
		t.Fatal(err)
	}
	var sections []byte
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sections = append(sections, data...)
	}
	short := lab.Pcap(lab.Packets(500, lab.Start, 100*time.Microsecond, 500), binary.LittleEndian, true)
	for name, data := range map[string][]byte{"sections": sections, "short.pcap": short} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs the case in a folder, and sends a signal after a while.
func (c *signalCase) run(t *testing.T, folder string, signal syscall.Signal, after time.Duration) endedRun {
	t.Helper()
	for _, name := range []string{folder, filepath.Join(folder, "tmp")} {
		if err := os.Mkdir(name, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link("set.tar.gz", filepath.Join(folder, "set.tar.gz")); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(c.name, append([]string{"--report", "report"}, c.args...)...)
	command.Dir = folder
	command.Env = append(os.Environ(), "TMPDIR="+filepath.Join(folder, "tmp"))
	var messages bytes.Buffer
	command.Stderr = &messages
	stdout, err := os.Create(filepath.Join(folder, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	command.Stdout = stdout
	if c.stdin != "" {
		in, err := os.Open(filepath.Join(folder, c.stdin))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		command.Stdin = in
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if signal != 0 {
		time.Sleep(after)
		_ = command.Process.Signal(signal) // it may have ended by itself
	}
	_ = command.Wait()
	return endedRun{folder, command.ProcessState, messages.String(), time.Since(began)}
}

// path is a file of the run.
func (r *endedRun) path(name string) string { return filepath.Join(r.folder, name) }

// files are all that the run leaves, temporary ones included, with their content.
func (r *endedRun) files(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(r.folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == "set.tar.gz" || path == "stdout" || path == "report" {
			return err
		}
		files[path], err = os.ReadFile(r.path(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A signal at any moment ends a run with its exit code, and leaves whole files or
// none.
func TestSignalsLeaveWholeFiles(t *testing.T) {
	linkTools(t)
	makeSignalSet(t)
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 12
	var cases sync.WaitGroup
	defer cases.Wait()
	for number, c := range signalCases {
		cases.Go(func() {
			t.Run(c.name+" "+strings.Join(c.args, " "), func(t *testing.T) {
				whole := c.run(t, filepath.Join(root, fmt.Sprintf("%d", number)), 0, 0)
				if !whole.state.Success() {
					t.Fatalf("undisturbed: %v: %s", whole.state, whole.messages)
				}
				wholeFiles := whole.files(t)
				random := rand.New(rand.NewPCG(uint64(number), 4))
				for round := range rounds {
					signal := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[round%3]
					after := time.Duration(random.Int64N(int64(whole.took)))
					run := c.run(t, filepath.Join(root, fmt.Sprintf("%d-%d", number, round)), signal, after)
					c.check(t, &run, signal, wholeFiles)
					if t.Failed() {
						t.Fatalf("%v after %v of %v: %v\n%s", signal, after, whole.took, run.state, run.messages)
					}
					os.RemoveAll(run.folder)
				}
			})
		})
	}
}

// Whoever reads what a tool writes may go away: that ends the run as SIGPIPE would,
// but not before it has cleaned up. Messages may go unheard.
func TestReadersGoAway(t *testing.T) {
	linkTools(t)
	makeSignalSet(t)
	gone, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	gone.Close()
	for _, test := range []struct {
		args  []string
		stdin string
		code  int
		left  string // the only file that may be there afterwards
	}{
		{[]string{"pcap-tarls", "--index", "set.tar.gz"}, "", exitBroken, ""},
		{[]string{"pcap-tarcat", "set.tar.gz"}, "", exitBroken, ""},
		{[]string{"pcap-map", "--svg", "out.svg", "captures"}, "", exitBroken, ""},
		{[]string{"pcap-merge", "--memory", "1MiB", "-"}, "sections", exitBroken, ""},
		{[]string{"pcap-pace", "--asap", "sections"}, "", exitBroken, ""},
		{[]string{"pcap-inject", "--asap", "-w", "-", "sections"}, "", exitBroken, ""},
		{[]string{"pcap-tarls", "--names", "--index", "-o", "out", "set.tar.gz"}, "", exitDone, "out"},
		{[]string{"pcap-tarcat", "-v", "-o", "out", "set.tar.gz"}, "", exitDone, "out"},
		{[]string{"pcap-map", "-v", "-o", "out", "captures"}, "", exitDone, "out"},
		{[]string{"pcap-merge", "-v", "-o", "out", "captures"}, "", exitDone, "out"},
		{[]string{"pcap-pace", "-v", "-o", "out", "--asap", "sections"}, "", exitDone, "out"},
		{[]string{"pcap-inject", "-v", "--asap", "-w", "out", "sections"}, "", exitDone, "out"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			command := exec.Command(test.args[0], test.args[1:]...)
			command.Env = append(os.Environ(), "TMPDIR=tmp")
			if err := os.Mkdir("tmp", 0o777); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll("tmp")
			command.Stdout, command.Stderr = pipe, pipe
			if test.stdin != "" {
				in, err := os.Open(test.stdin)
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				command.Stdin = in
			}
			_ = command.Run()
			if code := command.ProcessState.ExitCode(); code != test.code {
				t.Errorf("%v, wanted %d", command.ProcessState, test.code)
			}
			before := []string{".", "tmp", "captures", "sections", "set.tar.gz", "set.tar.gz.tarx", "short.pcap"}
			_ = fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, _ error) error {
				switch {
				case path == test.left && path != "":
					return os.Remove(path)
				case !slices.Contains(before, path) && filepath.Dir(path) != "captures":
					t.Errorf("leaves %s", path)
				case test.code != exitDone && path == "set.tar.gz.tarx":
					t.Error("leaves an index")
				}
				return nil
			})
		})
	}
}

// A run whose reader only waits ends with its summary all the same.
func TestSignalsEndWritesIntoFullPipes(t *testing.T) {
	linkTools(t)
	makeSignalSet(t)
	var runs sync.WaitGroup
	defer runs.Wait()
	for _, args := range [][]string{
		{"pcap-tarcat", "set.tar.gz"}, {"pcap-merge", "captures"}, {"pcap-pace", "--asap", "sections"}, {"pcap-inject", "--asap", "-w", "-", "sections"},
		{"pcap-merge", "-z", "gzip", "--loop", "0", "captures"}, {"pcap-merge", "-z", "zstd", "--loop", "0", "captures"},
		{"pcap-merge", "-z", "lz4", "--loop", "0", "captures"}, {"pcap-pace", "-z", "gzip", "--asap", "--loop", "0", "sections"},
	} {
		runs.Go(func() {
			t.Run(strings.Join(args, " "), func(t *testing.T) { endFullPipe(t, args[0], args[1:]...) })
		})
	}
}

func endFullPipe(t *testing.T, tool string, args ...string) {
	t.Helper()
	silent, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer pipe.Close()
	reportName := filepath.Join(t.TempDir(), "report")
	command := exec.Command(tool, append([]string{"--report", reportName}, args...)...)
	command.Stdout = pipe
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1)
	if _, err := silent.Read(got); err != nil {
		t.Error(err)
	}
	awaitFull(t, pipe)
	_ = command.Process.Signal(syscall.SIGTERM)
	_ = command.Wait()
	if code := command.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("%v", command.ProcessState)
	}
	report, err := os.ReadFile(reportName)
	if err != nil || !bytes.Contains(report, []byte(`"event":"summary","tool":"`+tool+`","exit":143,`)) {
		t.Errorf("the report is %q, %v", report, err)
	}
	pipe.Close()
	rest, err := io.ReadAll(silent)
	if err != nil {
		t.Fatal(err)
	}
	// Of the last block, a part is in the pipe.
	if s := lab.SummaryOf[struct {
		Out int `json:"packets_out"`
	}](t, reportName); s.Out > lab.CountPackets(append(got, rest...)) {
		t.Errorf("%d packets out, and %d have left the process", s.Out, lab.CountPackets(append(got, rest...)))
	}
}

// exitBroken is how a filter ends that nobody reads from.
const exitBroken = 128 + int(syscall.SIGPIPE)

// check looks at what a run leaves that a signal has ended, or was too late for.
func (c *signalCase) check(t *testing.T, run *endedRun, signal syscall.Signal, wholeFiles map[string][]byte) {
	t.Helper()
	for name, data := range run.files(t) {
		if name != c.capture && !bytes.Equal(data, wholeFiles[name]) {
			t.Errorf("%s is left with %d bytes, wanted %d or none", name, len(data), len(wholeFiles[name]))
		}
	}
	// Before it has begun, and after its end, the signal kills.
	code, status := run.state.ExitCode(), run.state.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled() && status.Signal() == signal:
	case code == exitDone || code == 128+int(signal):
		c.checkReport(t, run, code)
	default:
		t.Errorf("exit code %d, wanted %d", code, 128+int(signal))
	}
}

// checkReport wants a summary that adds up, and as many packets as it says.
func (c *signalCase) checkReport(t *testing.T, run *endedRun, code int) {
	t.Helper()
	report, err := os.ReadFile(run.path("report"))
	if errors.Is(err, fs.ErrNotExist) {
		return // it did not come that far
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(report), []byte("\n"))
	var summary map[string]any
	if err := json.Unmarshal(lines[len(lines)-1], &summary); err != nil || summary["event"] != "summary" || summary["exit"] != float64(code) {
		t.Fatalf("the report ends with %q: %v", lines[len(lines)-1], err)
	}
	if c.losses == nil {
		return
	}
	number := func(name string) int { value, _ := summary[name].(float64); return int(value) }
	in, out := number("packets_in"), number("packets_out")
	rest := in - out
	for _, name := range c.losses {
		rest -= number(name)
	}
	if rest != 0 {
		t.Errorf("%d packets are not accounted for: %s", rest, lines[len(lines)-1])
	}
	if c.capture == "" {
		return
	}
	if got := wholePackets(t, run.path(c.capture)); got != out {
		t.Errorf("%d packets in %s, but %d out: %s", got, c.capture, out, lines[len(lines)-1])
	}
}

// wholePackets counts the packets of a capture that is not cut, or not there at all.
func wholePackets(t *testing.T, name string) (n int) {
	t.Helper()
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader := stream.NewReader(file)
	defer reader.Close()
	for _, err := range reader.Packets() {
		if err != nil {
			t.Errorf("%s, behind %d packets: %v", name, n, err)
			return n
		}
		n++
	}
	return n
}

// A run that waits for a silent stdin, or for somebody who reads, ends soon after a signal,
// and with its summary.
func TestStalledRunsEndWithTheirSummary(t *testing.T) {
	linkTools(t)
	t.Chdir(t.TempDir())
	packets := lab.Packets(100_000, lab.Start, time.Microsecond, 500)
	lab.WriteCapture(t, "large.pcap", packets)
	shell(t, "tar -cf large.tar large.pcap && for i in $(seq 20000); do echo file-with-a-name-of-some-length.$i; done | xargs touch && tar -cf many.tar file-*")
	for _, c := range []struct {
		name string
		args []string // a full stdout; nil for a silent stdin
	}{
		{"pcap-tarls", nil}, {"pcap-tarcat", nil}, {"pcap-map", nil}, {"pcap-merge", nil}, {"pcap-pace", nil}, {"pcap-inject", nil},
		{"pcap-tarls", []string{"many.tar"}}, {"pcap-tarcat", []string{"large.tar"}}, {"pcap-merge", []string{"large.pcap"}},
		{"pcap-merge", []string{"-z", "lz4", "large.pcap"}}, {"pcap-pace", []string{"--asap", "large.pcap"}},
		{"pcap-inject", []string{"--asap", "-w", "-", "large.pcap"}},
	} {
		t.Run(c.name+" "+strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			report := filepath.Join(t.TempDir(), "report")
			args := append([]string{"--report", report}, c.args...)
			if c.args == nil && c.name == "pcap-inject" {
				args = append(args, "-w", os.DevNull)
			}
			command := exec.Command(c.name, args...)
			silent, full, err := os.Pipe() // nobody uses the other ends
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			defer full.Close()
			if c.args == nil {
				command.Stdin = silent
			} else {
				command.Stdout = full
			}
			var messages bytes.Buffer
			command.Stderr = &messages
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if c.args == nil {
				lab.Await(t, "it listens to signals", func() bool { _, err := os.Stat(report); return err == nil })
			} else {
				awaitFull(t, full)
			}
			signalled := time.Now()
			_ = command.Process.Signal(syscall.SIGINT)
			_ = command.Wait()
			if took := time.Since(signalled); took > 5*time.Second {
				t.Errorf("ended %v after the signal", took)
			}
			s := lab.SummaryOf[record.Summary](t, report)
			if code := command.ProcessState.ExitCode(); code != 130 || s.Exit != 130 || strings.Contains(messages.String(), "DATA RACE") {
				t.Errorf("exit %d, %+v: %s", code, s, messages.String())
			}
		})
	}
}

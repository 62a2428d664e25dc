package tooltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool"
)

// Run runs a tool in this process.
func Run(tested *tool.Tool, in []byte, args ...string) (code int, out, messages string) {
	var stdout, stderr bytes.Buffer
	code = tested.Execute(args, tool.Streams{In: bytes.NewReader(in), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

// Manners checks what every tool does with flags, --help and --version.
func Manners(t *testing.T, tested *tool.Tool) {
	code, out, messages := Run(tested, nil, "--no-such-flag")
	want := fmt.Sprintf("%s: error: unknown flag %q\n%s: hint: %s --help lists the flags\n", tested.Name, "--no-such-flag", tested.Name, tested.Name)
	if code != tool.ExitUsage || out != "" || messages != want {
		t.Errorf("unknown flag: exit %d, stdout %q, stderr %q", code, out, messages)
	}
	code, out, messages = Run(tested, nil, "a", "--no-such-flag")
	if code != tool.ExitUsage || out != "" || messages != want {
		t.Errorf("unknown flag after an operand: exit %d, stdout %q, stderr %q", code, out, messages)
	}
	code, out, _ = Run(tested, nil, "-qv", "--version")
	if code != tool.ExitDone || out != tested.Name+" "+tool.Version()+"\n" {
		t.Errorf("--version: exit %d, stdout %q", code, out)
	}
	code, out, _ = Run(tested, nil, "--help")
	if code != tool.ExitDone || !strings.Contains(out, tested.Usage) {
		t.Errorf("--help: exit %d, stdout %q", code, out)
	}
	for _, flag := range []string{"--help", "--version"} {
		var said bytes.Buffer
		full := &failAfter{err: syscall.ENOSPC}
		code := tested.Execute([]string{flag}, tool.Streams{Out: full, Err: &said})
		if code != tool.ExitFailed || !strings.Contains(said.String(), "stdout: no space left on device") {
			t.Errorf("%s on a full disk: exit %d, %q", flag, code, said.String())
		}
	}
}

// Case is one use of a tool as a filter: its flags and its input.
type Case struct {
	Args []string
	In   []byte
}

// Sections are two captures that overlap in time, of different formats.
func Sections() (first, second []byte) {
	first = lab.Pcap(lab.Packets(300, lab.Start, time.Millisecond, 1000), binary.LittleEndian, true)
	second = lab.Pcap(lab.Packets(300, lab.Start+500_000, time.Millisecond, 1000), binary.BigEndian, false)
	return first, second
}

// Compressed are cases of one input in every compression.
func Compressed(t *testing.T, args []string, in []byte) (cases []Case) {
	t.Helper()
	for _, compressed := range lab.Compressions(t, in) {
		cases = append(cases, Case{Args: args, In: compressed})
	}
	return cases
}

// Faults checks what a tool does when its streams fail, in each of the cases. The flag
// names an output file instead of stdout. timeless says that the output is the same at any
// time.
func Faults(t *testing.T, tested *tool.Tool, outputFlag string, timeless bool, cases []Case) {
	for _, c := range cases {
		f := faulty{tested, c}
		f.readErrorsAreReported(t)
		f.writeErrorsAreReported(t)
		if timeless {
			f.shortReadsMakeNoDifference(t)
		}
		f.failedOutputLeavesNoFile(t, outputFlag)
	}
}

type faulty struct {
	tool *tool.Tool
	Case
}

func (c faulty) name() string {
	return fmt.Sprintf("%s %s, of %d bytes that begin with %q", c.tool.Name, strings.Join(c.Args, " "), len(c.In), c.In[:4])
}

// runFaulty runs a tool between a reader and a writer, in a folder for temporary
// files that must be empty afterwards.
func (c faulty) runFaulty(t *testing.T, in io.Reader, out io.Writer) (code int, messages string) {
	t.Helper()
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- c.tool.Execute(c.Args, tool.Streams{In: in, Out: out, Err: &stderr}) }()
	select {
	case code = <-ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s hangs", c.name())
	}
	if left, _ := os.ReadDir(temporary); len(left) > 0 {
		t.Errorf("%s leaves %s behind", c.name(), left[0].Name())
	}
	return code, stderr.String()
}

// failAfter fails at the n-th read or write, and at all that follow.
type failAfter struct {
	calls int
	most  int // bytes that a read gives
	err   error
	io.Reader
	io.Writer
}

func (f *failAfter) Read(p []byte) (int, error) {
	if f.calls--; f.calls < 0 {
		return 0, f.err
	}
	return f.Reader.Read(p[:min(len(p), f.most)])
}

func (f *failAfter) Write(p []byte) (int, error) {
	if f.calls--; f.calls < 0 {
		return 0, f.err
	}
	return f.Writer.Write(p)
}

// readErrorsAreReported: a read error at any place is reported, and makes the exit code 1
// or 3.
func (c faulty) readErrorsAreReported(t *testing.T) {
	const reads = 9
	for calls := range reads {
		in := &failAfter{calls: calls, most: len(c.In)/reads + 1, err: syscall.EIO, Reader: bytes.NewReader(c.In)}
		code, messages := c.runFaulty(t, in, io.Discard)
		if code != tool.ExitFailed && code != tool.ExitDamaged || !strings.Contains(messages, syscall.EIO.Error()) {
			t.Errorf("%s, read %d fails: exit %d, %q", c.name(), calls+1, code, messages)
		}
	}
}

// writeErrorsAreReported: a write error at any place is reported, and makes the exit code
// 1; a reader that went away is nobody's fault.
func (c faulty) writeErrorsAreReported(t *testing.T) {
	for _, fault := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EPIPE} {
		for calls := range 3 {
			out := &failAfter{calls: calls, err: fault, Writer: io.Discard}
			code, messages := c.runFaulty(t, bytes.NewReader(c.In), out)
			if out.calls >= 0 {
				break // there were no more writes
			}
			want, word := tool.ExitFailed, fault.Error()
			if fault == syscall.EPIPE {
				want, word = 128+int(syscall.SIGPIPE), ""
			}
			if code != want || !strings.Contains(messages, word) {
				t.Errorf("%s, write %d fails with %v: exit %d, %q", c.name(), calls+1, fault, code, messages)
			}
		}
	}
}

// shortReadsMakeNoDifference: the output is the same when reads return one byte.
func (c faulty) shortReadsMakeNoDifference(t *testing.T) {
	var whole, pieces bytes.Buffer
	code, messages := c.runFaulty(t, bytes.NewReader(c.In), &whole)
	if code != tool.ExitDone || whole.Len() == 0 {
		t.Fatalf("%s: exit %d, %d bytes, %q", c.name(), code, whole.Len(), messages)
	}
	code, messages = c.runFaulty(t, iotest.OneByteReader(bytes.NewReader(c.In)), &pieces)
	if code != tool.ExitDone || !bytes.Equal(lab.Decompressed(t, whole.Bytes()), lab.Decompressed(t, pieces.Bytes())) {
		t.Errorf("%s: exit %d, %d bytes, wanted %d; %q", c.name(), code, pieces.Len(), whole.Len(), messages)
	}
}

// failedOutputLeavesNoFile: an incomplete file never gets the final name.
func (c faulty) failedOutputLeavesNoFile(t *testing.T, outputFlag string) {
	folder := t.TempDir()
	name := filepath.Join(folder, "out")
	args := append([]string{outputFlag, name}, c.Args...)
	if at := slices.Index(c.Args, outputFlag); at >= 0 {
		args = slices.Clone(c.Args)
		args[at+1] = name
	}
	code, out, messages := Run(c.tool, c.In, args...)
	if code != tool.ExitDone || out != "" {
		t.Errorf("%s: exit %d, %d bytes on stdout, %q", c.name(), code, len(out), messages)
	}
	if err := os.Remove(name); err != nil {
		t.Error(err)
	}
	in := &failAfter{calls: 2, most: len(c.In)/4 + 1, err: syscall.EIO, Reader: bytes.NewReader(c.In)}
	var stderr bytes.Buffer
	code = c.tool.Execute(args, tool.Streams{In: in, Out: io.Discard, Err: &stderr})
	left, _ := os.ReadDir(folder)
	if code == tool.ExitFailed && len(left) > 0 || len(left) > 1 || len(left) == 1 && left[0].Name() != "out" {
		t.Errorf("%s: exit %d leaves %v", c.name(), code, left)
	}
}

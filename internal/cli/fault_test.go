package cli

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// filterCase is a tool as a filter: what comes in and with which flags.
type filterCase struct {
	tool *Tool
	args []string
	in   []byte
}

func filterCases(t *testing.T) []filterCase {
	t.Helper()
	first := lab.Pcap(lab.Packets(300, lab.Start, time.Millisecond, 1000), binary.LittleEndian, true)
	second := lab.Pcap(lab.Packets(300, lab.Start+500000, time.Millisecond, 1000), binary.BigEndian, false)
	sections := append(bytes.Clone(first), second...)
	tarball := tarOf(t, map[string][]byte{"first.pcap": first, "second.pcap": second})
	return []filterCase{
		{TarLs(), []string{"-"}, tarball},
		{TarCat(), []string{"-"}, tarball},
		{Map(), nil, sections},
		{Merge(), nil, sections},
		{Merge(), []string{"--memory", "64KiB", "-z", "lz4"}, sections},
		{Pace(), []string{"--asap"}, sections},
		{Inject(), []string{"--asap", "-w", "-"}, sections},
	}
}

// tarOf makes a tarball.
func tarOf(t *testing.T, members map[string][]byte) []byte {
	t.Helper()
	var tarball bytes.Buffer
	w := tar.NewWriter(&tarball)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := w.WriteHeader(&tar.Header{Name: strings.TrimSuffix(name, " again"), Size: int64(len(members[name])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(members[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return tarball.Bytes()
}

func (c filterCase) name() string { return strings.Join(append([]string{c.tool.Name}, c.args...), " ") }

// runFaulty runs a tool between a reader and a writer, in a folder for temporary
// files that must be empty afterwards.
func (c filterCase) runFaulty(t *testing.T, in io.Reader, out io.Writer) (code int, messages string) {
	t.Helper()
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- Run(c.tool, c.args, Streams{in, out, &stderr}) }()
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
	err   error
	io.Reader
	io.Writer
}

func (f *failAfter) Read(p []byte) (int, error) {
	if f.calls--; f.calls < 0 {
		return 0, f.err
	}
	return f.Reader.Read(p[:min(len(p), 40000)])
}

func (f *failAfter) Write(p []byte) (int, error) {
	if f.calls--; f.calls < 0 {
		return 0, f.err
	}
	return f.Writer.Write(p)
}

// A read error at any place is said, and makes the exit code 1 or 3.
func TestReadErrorsAreSaid(t *testing.T) {
	for _, c := range filterCases(t) {
		for calls := range len(c.in)/40000 + 1 {
			in := &failAfter{calls: calls, err: syscall.EIO, Reader: bytes.NewReader(c.in)}
			code, messages := c.runFaulty(t, in, io.Discard)
			if code != exitFailed && code != exitDamaged || !strings.Contains(messages, syscall.EIO.Error()) {
				t.Errorf("%s, read %d fails: exit %d, %q", c.name(), calls+1, code, messages)
			}
		}
	}
}

// A write error at any place is said, and makes the exit code 1; a reader that
// went away is nobody's fault.
func TestWriteErrorsAreSaid(t *testing.T) {
	for _, c := range filterCases(t) {
		for _, fault := range []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EPIPE} {
			for calls := range 3 {
				out := &failAfter{calls: calls, err: fault, Writer: io.Discard}
				code, messages := c.runFaulty(t, bytes.NewReader(c.in), out)
				if out.calls >= 0 {
					break // there were no more writes
				}
				want, word := exitFailed, fault.Error()
				if fault == syscall.EPIPE {
					want, word = 128+int(syscall.SIGPIPE), ""
				}
				if code != want || !strings.Contains(messages, word) {
					t.Errorf("%s, write %d fails with %v: exit %d, %q", c.name(), calls+1, fault, code, messages)
				}
			}
		}
	}
}

// Pieces of one byte make no difference.
func TestShortReadsMakeNoDifference(t *testing.T) {
	for _, c := range filterCases(t) {
		if c.tool.Name == "pcap-inject" {
			continue // its timestamps are those of now
		}
		var whole, pieces bytes.Buffer
		code, messages := c.runFaulty(t, bytes.NewReader(c.in), &whole)
		if code != exitDone || whole.Len() == 0 {
			t.Fatalf("%s: exit %d, %d bytes, %q", c.name(), code, whole.Len(), messages)
		}
		code, messages = c.runFaulty(t, iotest.OneByteReader(bytes.NewReader(c.in)), &pieces)
		if code != exitDone || !bytes.Equal(plainStream(t, whole.Bytes()), plainStream(t, pieces.Bytes())) {
			t.Errorf("%s: exit %d, %d bytes, wanted %d; %q", c.name(), code, pieces.Len(), whole.Len(), messages)
		}
	}
}

// plainStream undoes -z: the frames may be cut differently.
func plainStream(t *testing.T, out []byte) []byte {
	t.Helper()
	source, _, err := stream.Decompress(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	plain, err := io.ReadAll(source)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// Half a file never gets the final name.
func TestFailedOutputLeavesNoFile(t *testing.T) {
	for _, c := range filterCases(t) {
		folder := t.TempDir()
		name := filepath.Join(folder, "out")
		args := append([]string{"-o", name}, c.args...)
		if c.tool.Name == "pcap-inject" {
			args = []string{"--asap", "-w", name}
		}
		code, out, messages := run(c.tool, c.in, args...)
		if code != exitDone || out != "" {
			t.Errorf("%s: exit %d, %d bytes on stdout, %q", c.name(), code, len(out), messages)
		}
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
		in := &failAfter{calls: 2, err: syscall.EIO, Reader: bytes.NewReader(c.in)}
		var stderr bytes.Buffer
		code = Run(c.tool, args, Streams{in, io.Discard, &stderr})
		left, _ := os.ReadDir(folder)
		if code == exitFailed && len(left) > 0 || len(left) > 1 || len(left) == 1 && left[0].Name() != "out" {
			t.Errorf("%s: exit %d leaves %v", c.name(), code, left)
		}
	}
}

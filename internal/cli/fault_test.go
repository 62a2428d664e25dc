package cli

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
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
	archive := filepath.Join(t.TempDir(), "set.tar")
	if err := os.WriteFile(archive, tarball, 0o666); err != nil {
		t.Fatal(err)
	}
	_, members, _ := run(TarLs(), nil, "--index", archive)
	_, records, _ := run(Map(), nil, archive)
	cases := []filterCase{
		{TarLs(), []string{"-"}, tarball},
		{TarLs(), []string{"-0", "-"}, tarball},
		{TarCat(), []string{"-"}, tarball},
		{TarCat(), []string{"--raw", "-"}, tarball},
		{TarCat(), []string{"--list", "-"}, tarball},
		{TarCat(), []string{"-z", "gzip", "-"}, tarball},
		{TarCat(), []string{"--select", "-"}, []byte(members)},
		{Map(), nil, tarball},
		{Map(), []string{"--chart"}, sections},
		{Map(), []string{"--chart", "--from-records", "-"}, []byte(records)},
		{Merge(), []string{"--memory", "64KiB", "-z", "lz4"}, sections},
		{Merge(), []string{"--pcapng", "-z", "zstd"}, sections},
		{Merge(), []string{"--select", "-"}, []byte(records)},
		{Pace(), []string{"--asap", "-z", "gzip"}, sections},
	}
	_, pcapng, _ := run(Merge(), sections, "--pcapng")
	for _, in := range append(compressions(t, sections), sections, []byte(pcapng)) {
		cases = append(cases, filterCase{Map(), nil, in}, filterCase{Merge(), nil, in},
			filterCase{Pace(), []string{"--asap"}, in}, filterCase{Inject(), []string{"--asap", "-w", "-"}, in})
	}
	for _, in := range compressions(t, tarball) {
		cases = append(cases, filterCase{TarLs(), []string{"-"}, in}, filterCase{TarCat(), []string{"-"}, in})
	}
	return cases
}

// compressions gives data in every format that there is, those included that only
// others write.
func compressions(t *testing.T, data []byte) (all [][]byte) {
	t.Helper()
	for _, compression := range []stream.Compression{stream.Gzip, stream.LZ4, stream.Zstd} {
		var compressed bytes.Buffer
		w, err := stream.Compress(&compressed, compression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		all = append(all, compressed.Bytes())
	}
	for _, program := range []string{"xz", "bzip2"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("without %s: %v", program, err)
			continue
		}
		command := exec.Command(program, "-c")
		command.Stdin = bytes.NewReader(data)
		compressed, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, compressed)
	}
	return all
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

func (c filterCase) name() string {
	return fmt.Sprintf("%s %s, of %d bytes that begin with %q", c.tool.Name, strings.Join(c.args, " "), len(c.in), c.in[:4])
}

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

// A read error at any place is said, and makes the exit code 1 or 3.
func TestReadErrorsAreSaid(t *testing.T) {
	for _, c := range filterCases(t) {
		const reads = 9
		for calls := range reads {
			in := &failAfter{calls: calls, most: len(c.in)/reads + 1, err: syscall.EIO, Reader: bytes.NewReader(c.in)}
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
		in := &failAfter{calls: 2, most: len(c.in)/4 + 1, err: syscall.EIO, Reader: bytes.NewReader(c.in)}
		var stderr bytes.Buffer
		code = Run(c.tool, args, Streams{in, io.Discard, &stderr})
		left, _ := os.ReadDir(folder)
		if code == exitFailed && len(left) > 0 || len(left) > 1 || len(left) == 1 && left[0].Name() != "out" {
			t.Errorf("%s: exit %d leaves %v", c.name(), code, left)
		}
	}
}

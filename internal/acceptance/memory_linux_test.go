package acceptance

import (
	"archive/tar"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
)

// allMemory has the tests of memory take all sizes and numbers of cores, which takes half
// an hour: with the variable set.
var allMemory = os.Getenv("PCAP_ALL_MEMORY") != ""

const mebibyte = 1 << 20

// What the manuals say, in bytes: of a tool, of each file, and of each stream that is
// decompressed.
const (
	toolMemory  = 64 * mebibyte
	fileMemory  = 512 // not in pcap-merge
	layerMemory = 300 * mebibyte
)

// memoryOf runs a command and returns the peak of its memory in bytes.
func memoryOf(t *testing.T, cores int, command ...string) int64 {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", cores))
	var messages strings.Builder
	c.Stderr = &messages
	peak, err := runAndWatch(c)
	if c.ProcessState == nil {
		t.Fatalf("%v: %v", command, err)
	}
	if code := c.ProcessState.ExitCode(); code != exitDone && code != exitDamaged {
		t.Fatalf("%v: exit %d: %.500s", command, code, messages.String())
	}
	return peak
}

// wantMemory holds a command to a bound, and prints a line of the table.
func wantMemory(t *testing.T, bound int64, cores int, what string, command ...string) {
	t.Helper()
	taken := memoryOf(t, cores, command...)
	t.Logf("| %s | %s | %d | %d | %d |", command[0], what, cores, taken/mebibyte, bound/mebibyte)
	if taken > bound {
		t.Errorf("%v with %d cores: %d MiB, wanted up to %d", command, cores, taken/mebibyte, bound/mebibyte)
	}
}

func coresToTry() []int {
	if allMemory {
		return []int{1, 2, 16}
	}
	return []int{2}
}

// Memory does not grow with the number of files by more than the manuals say.
func TestMemoryOfManyFiles(t *testing.T) {
	numbers := []int{2_000}
	if allMemory {
		numbers = []int{10_000, 200_000}
	}
	for _, number := range numbers {
		for name, gap := range map[string]time.Duration{"at the same time": 0, "after one another": time.Hour / 100} {
			folder := filepath.Join(t.TempDir(), "captures")
			tarball := folder + ".tar"
			makeManyCaptures(t, folder, tarball, number, gap)
			what := fmt.Sprintf("%d files %s", number, name)
			files := int64(number)
			for _, cores := range coresToTry() {
				wantMemory(t, toolMemory+files*fileMemory, cores, what, "pcap-map", "-o", "/dev/null", folder)
				wantMemory(t, toolMemory+mebibyte*9/8, cores, what, "pcap-merge", "--memory", "1M", "-o", "/dev/null", folder)
				wantMemory(t, toolMemory+files*fileMemory, cores, what, "pcap-pace", "--asap", "-o", "/dev/null", folder)
				wantMemory(t, toolMemory+files*fileMemory, cores, what, "pcap-inject", "--asap", "-w", "/dev/null", folder)
				wantMemory(t, toolMemory, cores, what, "pcap-tarls", "-o", "/dev/null", tarball)
				wantMemory(t, toolMemory, cores, what, "pcap-tarcat", "-o", "/dev/null", tarball)
				wantMemory(t, toolMemory, cores, what, "pcap-map", "-o", "/dev/null", tarball)
			}
		}
	}
}

// longName is the length of the names in the folder of makeManyCaptures: names on many file
// systems have up to 255 bytes.
const longName = 200

// makeManyCaptures makes captures of one packet each in a folder, and a tarball of them.
func makeManyCaptures(t *testing.T, folder, tarball string, number int, gap time.Duration) {
	t.Helper()
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := tar.NewWriter(file)
	for i := range number {
		data := lab.Pcap(lab.Packets(1, lab.Start+int64(i)*int64(gap), 0, 60), binary.LittleEndian, true)
		name := fmt.Sprintf("%06d.pcap", i)
		if err := os.WriteFile(filepath.Join(folder, strings.Repeat("x", longName-len(name))+name), data, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// Packets of all sizes take no more than others, however many there are.
func TestMemoryOfLargePackets(t *testing.T) {
	folder := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		packets := lab.Packets(300, lab.Start+int64(i), time.Millisecond, 65_535)
		for p := range packets {
			packets[p].Data = packets[p].Data[:60+random.IntN(65_000)]
			packets[p].WireLength = uint32(len(packets[p].Data))
		}
		data := lab.Pcap(packets, binary.LittleEndian, true)
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(i, ".pcap")), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	wantMemory(t, toolMemory+mebibyte*9/8, 2, "large packets", "pcap-merge", "--memory", "1M", "-o", "/dev/null", folder)
}

// makeIndexed makes a tarball, and a compressed copy of it, with their indexes.
func makeIndexed(t *testing.T, plain, compressed string, add func(w *tar.Writer) error) {
	t.Helper()
	lab.NeedProgram(t, "gzip")
	file, err := os.Create(plain)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := tar.NewWriter(file)
	if err := errors.Join(add(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	compressTo(t, []string{"gzip", "-1"}, compressed, file)
	for _, path := range []string{plain, compressed} {
		wantMemory(t, toolMemory+layerMemory, 2, "index", "pcap-tarls", "--index", "-o", "/dev/null", path)
	}
}

// Members that are read at the same time by an index take no more than files do.
func TestMemoryOfIndexedMembers(t *testing.T) {
	plain, compressed := filepath.Join(t.TempDir(), "a.tar"), filepath.Join(t.TempDir(), "a.tar.gz")
	data := lab.Pcap(lab.Packets(50, lab.Start, time.Second, 1500), binary.LittleEndian, true)
	makeIndexed(t, plain, compressed, func(w *tar.Writer) error {
		for i := range 400 {
			if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint(i, ".pcap"), Size: int64(len(data)), Mode: 0o644}); err != nil {
				return err
			}
			if _, err := w.Write(data); err != nil {
				return err
			}
		}
		return nil
	})
	wantMemory(t, toolMemory+mebibyte*9/8, 2, "400 members", "pcap-merge", "--memory", "1M", "-o", "/dev/null", plain)
	wantMemory(t, toolMemory+layerMemory, 2, "400 members", "pcap-merge", "--memory", "1M", "-o", "/dev/null", compressed)
}

// Members with long names are not collected in memory.
func TestMemoryOfLongNames(t *testing.T) {
	plain, compressed := filepath.Join(t.TempDir(), "a.tar"), filepath.Join(t.TempDir(), "a.tar.gz")
	name := strings.Repeat("x", 900<<10) // archive/tar reads up to a MiB
	makeIndexed(t, plain, compressed, func(w *tar.Writer) (err error) {
		for i := 0; i < 200 && err == nil; i++ {
			err = w.WriteHeader(&tar.Header{Name: fmt.Sprint(name, i), Mode: 0o644})
		}
		return err
	})
	for _, path := range []string{plain, compressed} {
		wantMemory(t, toolMemory, 2, "200 long names", "pcap-tarcat", "--raw", "--list", "-o", "/dev/null", path, "x")
	}
}

// bombs are programs that make the most of zeros, with the largest windows.
var bombs = map[string][]string{
	"gz": {"gzip", "-9"}, "bz2": {"bzip2", "-9"}, "lz4": {"lz4", "-q", "-B7"},
	"xz": {"xz", "-T1", "--lzma2=preset=0,dict=128MiB"}, "zst": {"zstd", "-q", "-3", "--long=27"},
}

// A bomb, and one inside another, take what the manuals say, however many cores there are.
func TestMemoryOfBombs(t *testing.T) {
	captureTools := [][]string{{"pcap-map", "-o"}, {"pcap-merge", "--memory", "1M", "-o"}, {"pcap-pace", "--asap", "-o"}, {"pcap-inject", "--asap", "-w"}}
	tarballTools := [][]string{{"pcap-map", "-o"}, {"pcap-merge", "--memory", "1M", "-o"}, {"pcap-tarls", "-o"}, {"pcap-tarcat", "-o"}}
	size := int64(1 << 30)
	if !allMemory {
		captureTools, tarballTools = captureTools[:1], tarballTools[:1]
		size = 140 << 20 // more than the largest window
	}
	for format, program := range bombs {
		t.Run(format, func(t *testing.T) {
			lab.NeedProgram(t, program[0])
			folder := t.TempDir()
			capture, tarball, nested := filepath.Join(folder, "a.pcap."+format), filepath.Join(folder, "a.tar."+format), filepath.Join(folder, "nested.tar."+format)
			compressZeros(t, program, capture, size, nil)
			compressZeros(t, program, tarball, size, &tar.Header{Name: "a.pcap", Size: size, Mode: 0o644})
			inner, err := os.ReadFile(capture)
			if err != nil {
				t.Fatal(err)
			}
			compressTo(t, program, nested, strings.NewReader(string(lab.Tar(t, map[string][]byte{"a.pcap." + format: inner}))))
			for _, cores := range coresToTry() {
				const one, two = toolMemory + layerMemory, toolMemory + 2*layerMemory
				for _, tool := range captureTools {
					wantMemory(t, one, cores, "capture."+format, append(tool, "/dev/null", capture)...)
				}
				for _, tool := range tarballTools {
					wantMemory(t, one, cores, "capture in tar."+format, append(tool, "/dev/null", tarball)...)
					wantMemory(t, two, cores, format+" in tar."+format, append(tool, "/dev/null", nested)...)
				}
			}
		})
	}
}

// compressZeros compresses a capture that is zeros behind its header, as the member of a
// tarball if there is a header for it.
func compressZeros(t *testing.T, program []string, path string, size int64, member *tar.Header) {
	t.Helper()
	r, w := io.Pipe()
	go func() {
		dst := io.Writer(w)
		if member != nil {
			archive := tar.NewWriter(w)
			defer w.Close()
			defer archive.Close()
			if err := archive.WriteHeader(member); err != nil {
				w.CloseWithError(err)
				return
			}
			dst = archive
		}
		header := lab.Pcap(nil, binary.LittleEndian, true)
		_, _ = dst.Write(header)
		_, err := io.CopyN(dst, zeros{}, size-int64(len(header)))
		if member == nil || err != nil {
			w.CloseWithError(err)
		}
	}()
	compressTo(t, program, path, r)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func compressTo(t *testing.T, program []string, path string, src io.Reader) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := exec.Command(program[0], append(program[1:], "-c")...)
	c.Stdin, c.Stdout, c.Stderr = src, file, os.Stderr
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
}

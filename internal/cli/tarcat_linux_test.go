package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/lab"
)

// throughPipe runs a tool with a pipe as its output.
func throughPipe(t *testing.T, tool *Tool, args ...string) (code int, out, messages string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	read := make(chan string)
	go func() {
		data, _ := io.ReadAll(reader)
		read <- string(data)
	}()
	var said bytes.Buffer
	code = Run(tool, args, Streams{bytes.NewReader(nil), writer, &said})
	writer.Close()
	return code, <-read, said.String()
}

// What is handed on to a pipe uncopied is what is written elsewhere, and what is
// wrong is said in the same words.
func TestTarCatIntoAPipe(t *testing.T) {
	needs(t, "tar")
	t.Chdir(t.TempDir())
	capture := lab.Pcap(lab.Packets(3000, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	for name, data := range map[string][]byte{"a.pcap": capture, "b.pcap": capture[:len(capture)-7], "c.pcap.gz": compressions(t, capture)[0], "notes.txt": []byte("notes")} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	holes, err := os.Create("holes.pcap")
	if err != nil {
		t.Fatal(err)
	}
	holes.Write(capture)
	holes.Truncate(4 << 20)
	holes.Close()
	for _, command := range [][]string{
		{"-cf", "set.tar", "a.pcap", "b.pcap", "c.pcap.gz", "notes.txt"}, {"-Scf", "sparse.tar", "--format=posix", "holes.pcap", "a.pcap"},
		{"-cf", "indexed.tar", "a.pcap", "c.pcap.gz", "b.pcap"},
	} {
		if out, err := exec.Command("tar", command...).CombinedOutput(); err != nil {
			t.Fatalf("tar: %v\n%s", err, out)
		}
	}
	whole, err := os.ReadFile("set.tar")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile("twice.tar", append(bytes.Clone(whole), whole...), 0o666)
	if code, _, messages := run(TarLs(), nil, "--index", "indexed.tar"); code != 0 {
		t.Fatal(messages)
	}
	cases := [][]string{
		{"set.tar"}, {"--raw", "set.tar"}, {"set.tar", "notes"}, {"sparse.tar"}, {"indexed.tar"}, {"--name", "b.pcap", "indexed.tar"},
		{"-i", "twice.tar"}, {"twice.tar"}, {"--max-bytes", "200000", "set.tar"}, {"--max-bytes", "200000", "indexed.tar"}, {"-z", "lz4", "set.tar"},
		{"set.tar", "indexed.tar"},
	}
	for _, cut := range []int{100, 600, 1000, len(capture), len(capture) + 600, len(whole) / 2} {
		name := filepath.Join(t.TempDir(), "cut.tar")
		os.WriteFile(name, whole[:cut], 0o666)
		cases = append(cases, []string{name}, []string{"--raw", name})
	}
	for _, args := range cases {
		code, out, messages := run(TarCat(), nil, args...)
		gotCode, gotOut, gotMessages := throughPipe(t, TarCat(), args...)
		if gotCode != code || gotOut != out || gotMessages != messages {
			t.Errorf("%q: exit code %d, %d bytes and %q into a pipe; elsewhere %d, %d and %q", args, gotCode, len(gotOut), gotMessages, code, len(out), messages)
		}
	}
}

// readPipe gives a pipe that is read to its end.
func readPipe(t *testing.T) (writer *os.File) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		writer.Close()
		reader.Close()
	})
	go io.Copy(io.Discard, reader)
	return writer
}

// Nothing is left to be copied of a sound member, and what has been sent has drawn
// progress, once.
func TestTarCatSendsWholeMembers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "set.tar")
	capture := lab.Pcap(lab.Packets(30_000, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	tarball := tarOf(t, map[string][]byte{"a.pcap": capture})
	if err := os.WriteFile(name, tarball, 0o666); err != nil {
		t.Fatal(err)
	}
	writer := readPipe(t)
	j := newJob(TarCat(), Streams{})
	j.ctx = context.Background()
	c := &tarCat{job: j, pipe: writer, maxBytes: math.MaxInt64}
	for i, wanted := range []int64{int64(len(capture)), 0} {
		file, err := j.openInput(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r, err := archive.NewReader(&archiveSource{ctx: j.ctx, file: file, progress: j.progress})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		stored, err := r.Stored()
		if err != nil {
			t.Fatal(err)
		}
		if sent := c.send(stored); sent != wanted {
			t.Errorf("sent %d bytes of %d, wanted %d", sent, len(capture), wanted)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("behind the member: %v", err)
		}
		if done := j.progress.done.Load(); done != int64(i+1)*int64(len(tarball)) {
			t.Errorf("progress of %d bytes, wanted %d", done, (i+1)*len(tarball))
		}
		writer.Close() // and now nothing can be sent
	}
}

// Members that were read with a header, by an index, have drawn their progress then.
func TestTarCatDrawsProgressOnce(t *testing.T) {
	members := map[string][]byte{}
	for i := range 300 {
		members[fmt.Sprintf("%03d.pcap", i)] = lab.Pcap(lab.Packets(5, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	}
	tarball := tarOf(t, members)
	name := filepath.Join(t.TempDir(), "set.tar")
	if err := os.WriteFile(name, tarball, 0o666); err != nil {
		t.Fatal(err)
	}
	if code, _, messages := run(TarLs(), nil, "--index", name); code != 0 {
		t.Fatal(messages)
	}
	j := newJob(TarCat(), Streams{})
	j.ctx = context.Background()
	indexed, err := archive.OpenIndexedWith(name, func(path string) (archive.Source, error) {
		source, err := openSource(path)
		if err != nil || path != name {
			return source, err
		}
		return &countedSource{Source: source, progress: j.progress}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer indexed.Close()
	before := j.progress.done.Load()
	c := &tarCat{job: j, pipe: readPipe(t), maxBytes: math.MaxInt64}
	err = j.walkIndexed(indexed, func(*archive.Member) bool { return true }, func(r *archive.Reader, m *archive.Member) error {
		stored, err := r.Stored()
		if err == nil && c.send(stored) != m.Size {
			err = fmt.Errorf("%s: not sent whole", m.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if done := j.progress.done.Load() - before; done > int64(len(tarball)) || done < int64(len(tarball))*9/10 {
		t.Errorf("progress of %d bytes, wanted about %d", done, len(tarball))
	}
}

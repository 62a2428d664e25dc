package main

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
	"sync/atomic"
	"testing"
	"time"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tool/tooltest"
	"pcap-replay/stream"
)

// throughPipe runs a tool with a pipe as its output.
func throughPipe(t *testing.T, args ...string) (code int, out, messages string) {
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
	code = tarcat().Execute(args, tool.Streams{In: bytes.NewReader(nil), Out: writer, Err: &said})
	writer.Close()
	return code, <-read, said.String()
}

// What is handed on to a pipe uncopied is what is written elsewhere, and what is
// wrong is said in the same words.
func TestTarCatIntoAPipe(t *testing.T) {
	lab.NeedProgram(t, "tar")
	t.Chdir(t.TempDir())
	capture := lab.Pcap(lab.Packets(3000, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	for name, data := range map[string][]byte{"a.pcap": capture, "b.pcap": capture[:len(capture)-7], "c.pcap.gz": lab.Compressed(t, capture, stream.Gzip), "notes.txt": []byte("notes")} {
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
	if output, err := exec.Command("pcap-tarls", "--index", "indexed.tar").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
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
		code, out, messages := tooltest.Run(tarcat(), nil, args...)
		gotCode, gotOut, gotMessages := throughPipe(t, args...)
		if gotCode != code || gotOut != out || gotMessages != messages {
			t.Errorf("%q: exit code %d, %d bytes and %q into a pipe; elsewhere %d, %d and %q", args, gotCode, len(gotOut), gotMessages, code, len(out), messages)
		}
	}
}

// readPipe returns a pipe that is read to its end.
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

// senderTo returns a run that sends to a pipe.
func senderTo(pipe *os.File) *taker {
	ctx := context.Background()
	return &taker{
		run: &tool.Run{Context: ctx}, pipe: pipe, out: files.Stdout(pipe), config: config{maxBytes: math.MaxInt64},
		archives: &input.Archives{Context: ctx, Opener: &input.Opener{}, Problems: &input.Problems{Messages: &tool.Messages{}}},
	}
}

// Nothing is left to be copied of a sound member, and what has been sent has drawn
// progress, once.
func TestTarCatSendsWholeMembers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "set.tar")
	capture := lab.Pcap(lab.Packets(30_000, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	tarball := lab.Tar(t, map[string][]byte{"a.pcap": capture})
	if err := os.WriteFile(name, tarball, 0o666); err != nil {
		t.Fatal(err)
	}
	writer := readPipe(t)
	var done atomic.Int64
	sending := senderTo(writer)
	for i, wanted := range []int64{int64(len(capture)), 0} {
		file, err := sending.archives.Opener.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		r, err := archive.NewReader(input.NewSource(context.Background(), file, func(bytes int64) { done.Add(bytes) }))
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
		if sent := sending.send(stored); sent != wanted {
			t.Errorf("sent %d bytes of %d, wanted %d", sent, len(capture), wanted)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("behind the member: %v", err)
		}
		if done := done.Load(); done != int64(i+1)*int64(len(tarball)) {
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
	tarball := lab.Tar(t, members)
	name := filepath.Join(t.TempDir(), "set.tar")
	if err := os.WriteFile(name, tarball, 0o666); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("pcap-tarls", "--index", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var done atomic.Int64
	sending := senderTo(readPipe(t))
	sending.archives.Count = func(bytes int64) { done.Add(bytes) }
	sending.archives.OpenIndexed(name, input.OpenSource).Close()
	opening := done.Swap(0)
	err := sending.archives.Walk(name, func(r archive.Walker, m *archive.Member) error {
		stored, err := r.Stored()
		if err == nil && sending.send(stored) != m.Size {
			err = fmt.Errorf("%s: not sent whole", m.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if done := done.Load() - opening; done > int64(len(tarball)) || done < int64(len(tarball))*9/10 {
		t.Errorf("progress of %d bytes, wanted about %d", done, len(tarball))
	}
}

package lab

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pcap-replay/stream"
)

// WriteCapture writes packets to a file, as Pcap does with nanoseconds.
func WriteCapture(t testing.TB, name string, packets []stream.Packet) {
	t.Helper()
	if err := os.WriteFile(name, Pcap(packets, binary.LittleEndian, true), 0o666); err != nil {
		t.Fatal(err)
	}
}

// ReadPackets reads a stream into memory and skips damage.
func ReadPackets(t testing.TB, src io.Reader) (packets []stream.Packet) {
	t.Helper()
	for packet, err := range stream.NewReader(src).Packets() {
		var damage *stream.Damage
		if errors.As(err, &damage) || errors.Is(err, stream.ErrNotCapture) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		kept := *packet
		kept.Data = bytes.Clone(packet.Data)
		packets = append(packets, kept)
	}
	return packets
}

// ReadCapture is ReadPackets of a file.
func ReadCapture(t testing.TB, path string) []stream.Packet {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return ReadPackets(t, file)
}

// WantPackets compares times, data and lengths on the wire.
func WantPackets(t testing.TB, got, want []stream.Packet) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d packets, wanted %d", len(got), len(want))
		return
	}
	for i := range want {
		if got[i].Time != want[i].Time || !bytes.Equal(got[i].Data, want[i].Data) || got[i].WireLength != want[i].WireLength {
			t.Errorf("packet %d: %d bytes at %d, wanted %d at %d", i+1, len(got[i].Data), got[i].Time, len(want[i].Data), want[i].Time)
			return
		}
	}
}

// Compressions returns data in every compression, including those that only other programs
// write, if they are installed.
func Compressions(t testing.TB, data []byte) (all [][]byte) {
	t.Helper()
	for _, compression := range []stream.Compression{stream.Gzip, stream.LZ4, stream.Zstd} {
		all = append(all, Compressed(t, data, compression))
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

// Compressed returns data in a compression that package stream writes.
func Compressed(t testing.TB, data []byte, compression stream.Compression) []byte {
	t.Helper()
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
	return compressed.Bytes()
}

// Decompressed decompresses data of any compression. Compressed frames may be cut
// differently.
func Decompressed(t testing.TB, data []byte) []byte {
	t.Helper()
	source, _, err := stream.Decompress(bytes.NewReader(data))
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

// Tar makes a tarball. A suffix " again" of a name is left out, so members may have the
// same name.
func Tar(t testing.TB, members map[string][]byte) []byte {
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

// SummaryOf reads the summary at the end of a report.
func SummaryOf[Summary any](t testing.TB, report string) (s Summary) {
	t.Helper()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	last := lines[len(lines)-1]
	if err := json.Unmarshal(last, &s); err != nil || !bytes.Contains(last, []byte(`"event":"summary"`)) {
		t.Fatalf("%s ends with %q: %v", report, last, err)
	}
	return s
}

// CountPackets counts the packets of a capture and skips damage.
func CountPackets(data []byte) (packets int) {
	for _, err := range stream.NewReader(bytes.NewReader(data)).Packets() {
		if err == nil {
			packets++
		}
	}
	return packets
}

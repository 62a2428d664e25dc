package stream_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// compressors write files that can be concatenated.
var compressors = map[string][]string{
	"lz4":              {"lz4", "-c", "-q"},
	"lz4 of 64 KiB":    {"lz4", "-c", "-q", "-B4", "--content-size"},
	"lz4 with checks":  {"lz4", "-c", "-q", "-B4", "-BX"},
	"lz4 legacy":       {"lz4", "-c", "-q", "-l"},
	"zstd":             {"zstd", "-c", "-q"},
	"zstd, unchecked":  {"zstd", "-c", "-q", "--no-check"},
	"xz":               {"xz", "-c", "-0"},
	"xz without check": {"xz", "-c", "-0", "--check=none"},
	"bzip2":            {"bzip2", "-c", "-1"},
}

// run gives the output of a program for data.
func run(t testing.TB, data []byte, command []string) []byte {
	t.Helper()
	lab.NeedProgram(t, command[0])
	program := exec.Command(command[0], command[1:]...)
	program.Stdin = bytes.NewReader(data)
	output, err := program.Output()
	if err != nil {
		t.Fatal(command, err)
	}
	return output
}

// noise makes captures that do not compress well.
func noise(packets []stream.Packet, seed uint64) []stream.Packet {
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range packets {
		data := bytes.Clone(packets[i].Data)
		for j := 42; j < len(data); j++ {
			data[j] = byte(random.Uint32()) & 0x3f
		}
		packets[i].Data = data
	}
	return packets
}

// survivors returns the packets whose records lie in sound data.
func survivors(whole []stream.Packet, isSound func(from, to int) bool, recordLength int) (wanted []stream.Packet) {
	for i, packet := range whole {
		if from := 24 + i*recordLength; isSound(from, from+recordLength) {
			wanted = append(wanted, packet)
		}
	}
	return wanted
}

// missingPacket returns the first of the wanted packets that is not among those read, in the
// same order, or -1.
func missingPacket(wanted, read []stream.Packet) int {
	next := 0
	for i := range wanted {
		for next < len(read) && (read[next].Time != wanted[i].Time || !bytes.Equal(read[next].Data, wanted[i].Data)) {
			next++
		}
		if next == len(read) {
			return i
		}
	}
	return -1
}

// Whatever breaks one of several concatenated files, the packets of all others are read.
func TestReadingGoesOnAfterDamagedFrame(t *testing.T) {
	const records, length, size = 3000, 216, 100_000
	capture := lab.Pcap(noise(lab.Packets(records, lab.Start, time.Millisecond, length-16), 1), binary.LittleEndian, true)
	whole, _, _ := readAcrossDamage(t, bytes.NewReader(capture))
	for name, command := range compressors {
		var members [][]byte
		for chunk := capture; len(chunk) > 0; chunk = chunk[min(size, len(chunk)):] {
			members = append(members, run(t, chunk[:min(size, len(chunk))], command))
		}
		for seed := range uint64(30) {
			random := rand.New(rand.NewPCG(seed, 2))
			broken := 1 + random.IntN(len(members)-2)
			member := bytes.Clone(members[broken])
			at := random.IntN(len(member))
			change := []string{"bit", "zeros", "cut", "grown", "header"}[seed%5]
			switch change {
			case "bit":
				member[at] ^= 1 << random.IntN(8)
			case "zeros":
				clear(member[at:min(at+4096, len(member))])
			case "cut":
				member = append(member[:at], member[min(at+1+random.IntN(5000), len(member)):]...)
			case "grown":
				member = append(member[:at], append(bytes.Repeat([]byte{0xa5}, 1+random.IntN(5000)), member[at:]...)...)
			case "header":
				at = random.IntN(20)
				member[at] ^= 1 << random.IntN(8)
			}
			file := bytes.Join(append(append(append([][]byte{}, members[:broken]...), member), members[broken+1:]...), nil)
			packets, damages, _ := readAcrossDamage(t, bytes.NewReader(file))
			wanted := survivors(whole[:records-2], func(from, to int) bool {
				return to <= broken*size || from >= (broken+1)*size
			}, length)
			what := fmt.Sprintf("%s, seed %d: %s at %d of %d in member %d of %d", name, seed, change, at, len(member), broken, len(members))
			if i := missingPacket(wanted, packets); i >= 0 {
				t.Errorf("%s: packet %d of %d is missing: %v", what, i, len(wanted), damages)
			}
			if len(packets) < records && len(damages) == 0 {
				t.Errorf("%s: %d packets, no damage", what, len(packets))
			}
		}
	}
}

// Damage in one block of a bzip2 file, or of an xz file with several blocks, costs that block
// only.
func TestReadingGoesOnAfterDamagedBlock(t *testing.T) {
	const records, length = 12_000, 216
	capture := lab.Pcap(noise(lab.Packets(records, lab.Start, time.Millisecond, length-16), 3), binary.LittleEndian, true)
	whole, _, _ := readAcrossDamage(t, bytes.NewReader(capture))
	for _, c := range []struct {
		command []string
		block   int // bytes, at most
		isExact bool
	}{
		{[]string{"bzip2", "-c", "-1"}, 100_000, false},
		{[]string{"bzip2", "-c", "-9"}, 900_000, false},
		{[]string{"xz", "-c", "-0", "-T2", "--block-size=200000"}, 200_000, true},
		{[]string{"xz", "-c", "-0", "-T1", "--block-list=200000,100000,300000"}, 300_000, false},
	} {
		compressed := run(t, capture, c.command)
		for seed := range uint64(12) {
			random := rand.New(rand.NewPCG(seed, 4))
			damaged := bytes.Clone(compressed)
			at := len(damaged)/2 + random.IntN(len(damaged)/4) // behind the file header
			damaged[at] ^= 1 << random.IntN(8)
			packets, damages, end := readAcrossDamage(t, bytes.NewReader(damaged))
			what := fmt.Sprintf("%q, seed %d: %d packets, damage %v", c.command, seed, len(packets), damages)
			if len(packets) < records-c.block/length-3 || len(packets) == records || len(damages) == 0 {
				t.Errorf("%s", what)
			}
			if c.command[0] == "bzip2" && missingPacket(packets, whole) >= 0 { // xz returns data before it can verify it
				t.Errorf("%s: packets that are not in the capture", what)
			}
			if c.isExact && end != int64(len(capture)) {
				t.Errorf("%s: ended at %d, wanted %d", what, end, len(capture))
			}
			if isLast := packets[len(packets)-1].Time < whole[records-1].Time; !isLast && !strings.Contains(fmt.Sprint(damages), " compressed bytes skipped from offset ") {
				t.Errorf("%s: does not say what is skipped", what)
			}
		}
	}
}

// damagedFile is three files of one capture after another, the second one damaged. Each has
// fuzzRecords packets.
const fuzzRecords = 40

// FuzzDamagedFrame replaces a part of the second of three frames. All packets of the first
// and the third one are read, unless the new data contains the start of a frame.
func FuzzDamagedFrame(f *testing.F) {
	capture := lab.Pcap(lab.Packets(3*fuzzRecords, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	whole, _, _ := readAcrossDamage(f, bytes.NewReader(capture))
	third := fuzzRecords * 216
	frames := map[bool][3][]byte{}
	for isZstd, compression := range map[bool]stream.Compression{false: stream.LZ4, true: stream.Zstd} {
		var parts [3][]byte
		for i, part := range [][]byte{capture[:24+third], capture[24+third : 24+2*third], capture[24+2*third:]} {
			parts[i] = lab.Compressed(f, part, compression)
		}
		frames[isZstd] = parts
	}
	f.Add(true, uint16(0), uint16(4), []byte{})
	f.Add(false, uint16(0), uint16(4), []byte("xxxx"))
	f.Add(true, uint16(30), uint16(0), []byte{0xa5})
	f.Add(false, uint16(9), uint16(3), []byte{0xff, 0xff, 0x3f, 0x80})
	f.Add(true, uint16(9), uint16(200), []byte("\x50\x2a\x4d\x18\xff\xff\xff\x7f"))
	f.Add(true, uint16(60), uint16(0), bytes.Repeat([]byte("\x28\xb5\x2f\xfd\x00\x58"), 100))
	f.Fuzz(func(t *testing.T, isZstd bool, at, cut uint16, inserted []byte) {
		parts := frames[isZstd]
		broken := parts[1]
		from := int(at) % len(broken)
		to := min(len(broken), from+int(cut))
		file := slices.Concat(parts[0], broken[:from], inserted, broken[to:], parts[2])
		if magic := []byte("\x4d\x18"); bytes.Contains(inserted, []byte("\x2f\xfd")) || bytes.Contains(inserted, magic) {
			readAcrossDamage(t, bytes.NewReader(file)) // what is inserted may be sound data
			return
		}
		packets, damages, _ := readAcrossDamage(t, bytes.NewReader(file))
		wanted := survivors(whole, func(from, to int) bool { return to <= 24+third || from >= 24+2*third }, 216)
		if i := missingPacket(wanted, packets); i >= 0 {
			t.Fatalf("packet %d of %d is missing: %v", i, len(wanted), damages)
		}
		if len(packets) < 3*fuzzRecords && len(damages) == 0 {
			t.Fatalf("%d packets and no damage", len(packets))
		}
	})
}

// Data that consists of the headers of frames is passed. Package unframe bounds the work.
func TestSearchPassesFalseFrames(t *testing.T) {
	capture := lab.Pcap(lab.Packets(100, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	magics := map[stream.Compression]string{
		stream.LZ4:  "\x04\x22\x4d\x18\x60\x70\x73\xff\xff\x00\x00", // with a sound header
		stream.Zstd: "\x28\xb5\x2f\xfd\x04\x88\x01\x00\x10",         // a window of 128 MiB, and a raw block that is too long
	}
	for compression, magic := range magics {
		frame := lab.Compressed(t, capture, compression)
		file := slices.Concat(frame, frame[:len(frame)/2], bytes.Repeat([]byte(magic), 2<<20/len(magic)), frame)
		if packets, _, _ := readAcrossDamage(t, bytes.NewReader(file)); len(packets) < 100 {
			t.Errorf("%s: %d packets, wanted 100 or more", compression, len(packets))
		}
	}
}

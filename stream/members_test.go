package stream_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// gzipMembers compresses data in gzip members of size bytes, with Go or as bgzip does, and
// returns where each begins.
func gzipMembers(t *testing.T, data []byte, size int, isBGZF bool) (compressed []byte, starts []int) {
	t.Helper()
	for chunk := data; len(chunk) > 0; chunk = chunk[min(size, len(chunk)):] {
		starts = append(starts, len(compressed))
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if isBGZF {
			w.Extra = []byte("BC\x02\x00\x00\x00")
		}
		if _, err := w.Write(chunk[:min(size, len(chunk))]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		member := b.Bytes()
		if isBGZF {
			binary.LittleEndian.PutUint16(member[16:], uint16(len(member)-1))
		}
		compressed = append(compressed, member...)
	}
	return compressed, append(starts, len(compressed))
}

// readAcrossDamage reads a stream to its end.
func readAcrossDamage(t testing.TB, src io.Reader) (packets []stream.Packet, damages []*stream.Damage, end int64) {
	t.Helper()
	r := stream.NewReader(src)
	defer r.Close()
	for packet, err := range r.Packets() {
		if damage := (*stream.Damage)(nil); errors.As(err, &damage) {
			damages = append(damages, damage)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		copied := *packet
		copied.Data = bytes.Clone(packet.Data)
		packets = append(packets, copied)
	}
	return packets, damages, r.Offset()
}

// After a damaged member, reading goes on with the next one, and the loss is exact.
func TestReadingGoesOnAfterDamagedMember(t *testing.T) {
	const length = 216 // of a record
	const records = 3000
	capture := lab.Pcap(lab.Packets(records, lab.Start, time.Millisecond, length-16), binary.LittleEndian, true)
	whole, _, _ := readAcrossDamage(t, bytes.NewReader(capture))
	if len(whole) != records || len(capture) != 24+records*length {
		t.Fatal(len(whole), len(capture))
	}
	for _, isBGZF := range []bool{false, true} {
		for _, size := range []int{2000, 40_000, 65_280, 200_000} {
			if isBGZF && size > 65_280 {
				continue // more than bgzip puts into a member
			}
			compressed, starts := gzipMembers(t, capture, size, isBGZF)
			for what, change := range map[string]func(member []byte){
				"header":   func(member []byte) { copy(member, "xxxxxxxxxx") },
				"data":     func(member []byte) { copy(member[len(member)/2:], "xxxx") },
				"start":    func(member []byte) { copy(member[20:], "xxxxxxxx") },
				"checksum": func(member []byte) { member[len(member)-8] ^= 1 },
				"zeros":    func(member []byte) { clear(member[18 : len(member)-8]) },
			} {
				for _, broken := range []int{1, len(starts) / 2, len(starts) - 3} {
					if broken < 1 || broken > len(starts)-3 {
						continue
					}
					what := fmt.Sprintf("members of %d bytes, BGZF: %v, %s of member %d of %d", size, isBGZF, what, broken+1, len(starts)-1)
					damaged := bytes.Clone(compressed)
					change(damaged[starts[broken]:starts[broken+1]])
					packets, damages, end := readAcrossDamage(t, bytes.NewReader(damaged))
					if len(damages) == 0 {
						t.Errorf("%s: no damage", what)
						continue
					}
					if end != int64(len(capture)) {
						t.Errorf("%s: ended at %d, wanted %d: %v", what, end, len(capture), damages)
					}
					// Every record that is whole outside the member.
					before := (broken*size - 24) / length
					behind := ((broken+1)*size - 24 + length - 1) / length
					if len(packets) < before+records-behind {
						t.Errorf("%s: %d packets, wanted %d + %d: %v", what, len(packets), before, records-behind, damages)
						continue
					}
					for i := range before {
						if !bytes.Equal(packets[i].Data, whole[i].Data) {
							t.Fatalf("%s: packet %d differs", what, i+1)
						}
					}
					for i := range records - behind {
						if got, want := packets[len(packets)-1-i], whole[records-1-i]; got.Time != want.Time || !bytes.Equal(got.Data, want.Data) {
							t.Fatalf("%s: packet %d from the end differs", what, i+1)
						}
					}
					if what == "header" {
						lost := int64(0)
						for _, damage := range damages {
							lost += damage.Lost
						}
						if got := lost + int64(len(packets))*length + 24; got != int64(len(capture)) {
							t.Errorf("%s: %d bytes in packets and lost, wanted %d", what, got, len(capture))
						}
					}
				}
			}
		}
	}
}

// If the first of several compressed captures is damaged from its start on, the others are
// read, and the loss is exact.
func TestReadingGoesOnAfterDamagedFirstFile(t *testing.T) {
	const length, records = 216, 500
	capture := lab.Pcap(lab.Packets(records, lab.Start, time.Millisecond, length-16), binary.LittleEndian, true)
	first, _ := gzipMembers(t, capture, len(capture), false)
	second, _ := gzipMembers(t, capture, len(capture), false)
	for what, change := range map[string]func(member []byte) []byte{
		"start":       func(m []byte) []byte { copy(m[10:], "xxxxxxxx"); return m },
		"file header": func(m []byte) []byte { m[18] ^= 0xff; return m },
		"all zeros":   func(m []byte) []byte { clear(m[10 : len(m)-8]); return m },
		"cut":         func(m []byte) []byte { return m[:15] },
		"two":         func(m []byte) []byte { m = m[:15]; return append(m, m...) },
	} {
		damaged := append(change(bytes.Clone(first)), second...)
		packets, damages, _ := readAcrossDamage(t, bytes.NewReader(damaged))
		if len(packets) < records || len(damages) == 0 {
			t.Errorf("%s: %d packets, wanted %d: %v", what, len(packets), records, damages)
			continue
		}
		for i, packet := range packets[len(packets)-records:] {
			if want := capture[24+i*length+16:][:length-16]; !bytes.Equal(packet.Data, want) {
				t.Fatalf("%s: packet %d differs", what, i+1)
			}
		}
		if what == "all zeros" && damages[0].Lost != int64(len(capture)) {
			t.Errorf("%s: %d bytes lost, wanted %d: %v", what, damages[0].Lost, len(capture), damages)
		}
	}
	// What follows is no capture of its own.
	pieces, starts := gzipMembers(t, capture, 40_000, false)
	copy(pieces[10:], "xxxxxxxx")
	_, err := stream.NewReader(bytes.NewReader(pieces)).Read(make([]stream.Packet, 1))
	if len(starts) < 3 || !errors.Is(err, stream.ErrNotCapture) || !strings.Contains(err.Error(), "gzip data is damaged") {
		t.Errorf("captures without a header: %v", err)
	}
}

// What bgzip writes, with one bit after another flipped.
func TestReadingGoesOnAfterDamagedBlockOfBGZF(t *testing.T) {
	lab.NeedProgram(t, "bgzip")
	const records = 2000
	capture := lab.Pcap(lab.Packets(records, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	run := exec.Command("bgzip", "-c")
	run.Stdin = bytes.NewReader(capture)
	compressed, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	first := int(binary.LittleEndian.Uint16(compressed[16:])) + 1
	blockRecords := 65280/216 + 2 // of a block, and those at its borders
	for at := first; at < len(compressed)-28; at += len(compressed)/200 + 1 {
		damaged := bytes.Clone(compressed)
		damaged[at] ^= 1 << (at % 8)
		packets, damages, end := readAcrossDamage(t, bytes.NewReader(damaged))
		if len(packets) < records-blockRecords || len(packets) > records || end != int64(len(capture)) {
			t.Errorf("byte %d: %d packets, ended at %d, wanted %d: %v", at, len(packets), end, len(capture), damages)
		}
	}
}

// Flips of random bits in files of many members: every packet that lies in members that
// gzip -dc accepts is read, and the position at the end is that of the intact file.
func TestPacketsOfIntactMembersAreRead(t *testing.T) {
	lab.NeedProgram(t, "gzip")
	const records, length = 3000, 216
	capture := lab.Pcap(lab.Packets(records, lab.Start, time.Millisecond, length-16), binary.LittleEndian, true)
	whole, _, _ := readAcrossDamage(t, bytes.NewReader(capture))
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		isBGZF := seed%2 == 0
		size := 3000 + random.IntN(62_280)
		compressed, starts := gzipMembers(t, capture, size, isBGZF)
		flips := 1
		if isBGZF {
			flips += random.IntN(3)
		}
		for range flips {
			bit := 8*starts[1] + random.IntN(8*(len(compressed)-starts[1]))
			compressed[bit/8] ^= 1 << (bit % 8)
		}
		isIntact := make([]bool, len(starts)-1)
		damaged := 0
		for i := range isIntact {
			run := exec.Command("gzip", "-dc")
			run.Stdin = bytes.NewReader(compressed[starts[i]:starts[i+1]])
			got, err := run.Output()
			isIntact[i] = err == nil && bytes.Equal(got, capture[i*size:min((i+1)*size, len(capture))])
			if !isIntact[i] {
				damaged++
			}
		}
		what := fmt.Sprintf("seed %d, members of %d bytes, BGZF: %v, damaged: %d of %d", seed, size, isBGZF, damaged, len(isIntact))
		packets, damages, end := readAcrossDamage(t, bytes.NewReader(compressed))
		if (damaged > 0) != (len(damages) > 0) {
			t.Errorf("%s: %v", what, damages)
		}
		if isLastIntact := isIntact[len(isIntact)-1]; isLastIntact && end != int64(len(capture)) {
			t.Errorf("%s: ended at %d, wanted %d: %v", what, end, len(capture), damages)
		}
		next := 0
		for i, want := range whole[:records-2] { // one record at the end is too few to find it
			first, last := (24+i*length)/size, (24+(i+1)*length-1)/size
			if !isIntact[first] || !isIntact[last] {
				continue
			}
			for next < len(packets) && (packets[next].Time != want.Time || !bytes.Equal(packets[next].Data, want.Data)) {
				next++
			}
			if next == len(packets) {
				t.Errorf("%s: packet %d is missing: %v", what, i+1, damages)
				break
			}
		}
	}
}

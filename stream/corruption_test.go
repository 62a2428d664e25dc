package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// place is a record of an intact capture and where it stands.
type place struct {
	key        recordKey
	start, end int64
}

// recordKey identifies a record by what it holds.
type recordKey struct {
	time     int64
	wire     uint32
	linkType stream.LinkType
	data     uint64
}

var keySeed = maphash.MakeSeed()

func keyOf(p *stream.Packet) recordKey {
	return recordKey{p.Time, p.WireLength, p.LinkType, maphash.Bytes(keySeed, p.Data)}
}

// places reads where the records of an intact capture stand. Blocks of a pcapng that
// are no packets belong to no record.
func places(t *testing.T, file []byte) (records []place) {
	r := stream.NewReader(bytes.NewReader(file))
	batch := make([]stream.Packet, 1)
	for {
		_, err := r.Read(batch)
		if err == io.EOF {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		end := r.Offset()
		start := end - 16 - int64(len(batch[0].Data))
		if r.Section().Format == stream.FormatPcapNG {
			start = end - int64(r.Section().ByteOrder.Uint32(file[end-4:]))
		}
		records = append(records, place{keyOf(&batch[0]), start, end})
	}
}

// corruption damages a capture from one offset to another and returns the bytes of
// that span anew. It may return fewer bytes or more.
type corruption struct {
	kind       string
	start, end int64
	anew       []byte
}

func (c corruption) apply(file []byte) []byte {
	return bytes.Join([][]byte{file[:c.start], c.anew, file[c.end:]}, nil)
}

// touches reports whether the corruption has removed or changed a record in the damaged
// file.
func (c corruption) touches(p place) bool {
	if c.start == c.end { // put in
		return p.start < c.start && c.start < p.end
	}
	return p.start < c.end && c.start < p.end
}

// span is the range of the damaged file with the records that the corruption touches. The
// damage is found there, or at the next header.
func (c corruption) span(records []place) (from, to int64) {
	from, to = c.start, c.end
	for _, p := range records {
		if p.start <= c.start && c.start <= p.end {
			from = min(from, p.start)
		}
		if p.start <= c.end && c.end <= p.end {
			to = max(to, p.end)
		}
	}
	return from, to + int64(len(c.anew)) - (c.end - c.start)
}

// touchesOther reports whether the corruption hits what stands between the records of a
// pcapng. Without its interface, a packet cannot be read.
func (c corruption) touchesOther(records []place) bool {
	end := records[0].start
	for _, p := range records {
		if end < p.start && c.touches(place{start: end, end: p.start}) {
			return true
		}
		end = p.end
	}
	return false
}

// otherBlocks is the kind of a corruption that touches blocks that are no packets.
const otherBlocks = "other blocks"

var corruptionKinds = []string{"zeros", "0xff", "noise", "one bit", "cut out", "put in", "length", "header", "zeroed page", "cut off"}

// corrupt makes a corruption of the given kind somewhere in the records of a capture.
func corrupt(random *rand.Rand, kind string, file []byte, records []place, pcapng bool) corruption {
	victim := records[random.IntN(len(records))]
	start := victim.start + random.Int64N(victim.end-victim.start)
	length := 1 + random.Int64N(64)
	noise := func(n int64) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	last := int64(len(file))
	end := min(start+length, last)
	span := end - start
	switch kind {
	case "zeros":
		return corruption{kind, start, end, make([]byte, span)}
	case "0xff":
		return corruption{kind, start, end, bytes.Repeat([]byte{0xff}, int(span))}
	case "noise":
		return corruption{kind, start, end, noise(span)}
	case "one bit":
		return corruption{kind, start, start + 1, []byte{file[start] ^ 1<<random.IntN(8)}}
	case "cut out":
		return corruption{kind, start, end, nil}
	case "put in":
		return corruption{kind, start, start, noise(length)}
	case "length":
		field := victim.start + 8 // captured length
		if pcapng {
			field = victim.start + 4 // block length
		}
		anew := bytes.Clone(file[field : field+4])
		switch random.IntN(3) {
		case 0:
			anew = noise(4)
		case 1:
			anew[random.IntN(2)] ^= 1 << random.IntN(8)
		case 2:
			anew[random.IntN(4)] += byte(1 + random.IntN(16))
		}
		return corruption{kind, field, field + 4, anew}
	case "header":
		return corruption{kind, victim.start, victim.start + 16, noise(16)}
	case "zeroed page": // of a file system
		start &^= 4095
		start = max(start, records[0].start)
		end = min(start+4096, last)
		return corruption{kind, start, end, make([]byte, end-start)}
	case "cut off":
		return corruption{kind, start, last, nil}
	}
	panic(kind)
}

// outcome is what a reader made of a damaged capture.
type outcome struct{ lost, invented int }

// judge compares what came out with the records that the corruption does not touch.
func judge(records []place, c corruption, got []recordKey) (o outcome, touched int) {
	count := map[recordKey]int{}
	for _, p := range records {
		if c.touches(p) {
			touched++
		} else {
			count[p.key]++
		}
	}
	for _, key := range got {
		count[key]--
	}
	for _, n := range count {
		if n > 0 {
			o.lost += n
		} else {
			o.invented -= n
		}
	}
	return o, touched
}

// readDamaged reads a damaged capture and adds up its bytes.
func readDamaged(t *testing.T, file []byte) (got []recordKey, damage []*stream.Damage, accounted int64) {
	r := stream.NewReader(bytes.NewReader(file))
	defer r.Close()
	for p, err := range r.Packets() {
		var d *stream.Damage
		switch {
		case errors.As(err, &d):
			damage = append(damage, d)
			accounted += d.Lost
		case err != nil:
			t.Error(err)
			return got, damage, accounted
		default:
			got = append(got, keyOf(p))
			accounted += 16 + int64(len(p.Data))
		}
	}
	return got, damage, accounted + 24*int64(r.Sections())
}

// tally is a line of the table that TestCorruptedCaptures prints.
type tally struct{ corruptions, records, lost, invented, worst, wiresharkLost, wiresharkInvented int }

// TestCorruptedCaptures damages captures of the corpus and counts which records that
// the damage does not touch are lost and which are invented, by the kind of damage, as
// well as those that Wireshark's reader (editcap) loses.
func TestCorruptedCaptures(t *testing.T) {
	const captures, corruptions = 50, 60
	if _, err := exec.LookPath("editcap"); err != nil {
		t.Skip("no editcap")
	}
	folder := t.TempDir()
	table := map[string]*tally{otherBlocks: {}}
	for _, kind := range corruptionKinds {
		table[kind] = &tally{}
	}
	var lock sync.Mutex
	var working sync.WaitGroup
	queue := make(chan func())
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			for work := range queue {
				work()
			}
		})
	}
	for number, name := range corruptible(t, captures) {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		records := places(t, file)
		pcapng := bytes.HasPrefix(file, []byte{0x0a, 0x0d, 0x0d, 0x0a})
		random := rand.New(rand.NewPCG(uint64(number), 17))
		for i := range corruptions {
			c := corrupt(random, corruptionKinds[i%len(corruptionKinds)], file, records, pcapng)
			queue <- func() {
				id := fmt.Sprintf("%s, %s from %d to %d", filepath.Base(name), c.kind, c.start, c.end)
				damaged := c.apply(file)
				got, damage, accounted := readDamaged(t, damaged)
				ours, touched := judge(records, c, got)
				theirs, _ := judge(records, c, wiresharkKeys(t, damaged, filepath.Join(folder, fmt.Sprintf("%d-%d", number, i))))

				overlaps := strings.Contains(fmt.Sprint(damage), "reaches into")
				if !pcapng && (accounted < int64(len(damaged)) || accounted > int64(len(damaged)) && !overlaps) {
					t.Errorf("%s: %d of %d bytes are accounted for; damage %v", id, accounted, len(damaged), damage)
				}
				kind := c.kind
				if c.touchesOther(records) {
					kind = otherBlocks
				} else if ours.lost > 2 || ours.invented > touched+1 {
					t.Errorf("%s: %d records lost, %d invented, %d touched; damage %v", id, ours.lost, ours.invented, touched, damage)
				}
				if from, to := c.span(records); len(damage) > 0 && (damage[0].Offset < from || damage[0].Offset > to) && kind != otherBlocks {
					t.Errorf("%s: damage at %d, wanted from %d to %d; damage %v", id, damage[0].Offset, from, to, damage)
				}
				if ours.lost > theirs.lost {
					t.Errorf("%s: %d records lost, but Wireshark loses %d; damage %v", id, ours.lost, theirs.lost, damage)
				}
				lock.Lock()
				defer lock.Unlock()
				line := table[kind]
				line.corruptions++
				line.records += len(records) - touched
				line.lost += ours.lost
				line.worst = max(line.worst, ours.lost)
				line.invented += max(0, ours.invented-touched)
				line.wiresharkLost += theirs.lost
				line.wiresharkInvented += max(0, theirs.invented-touched)
			}
		}
	}
	close(queue)
	working.Wait()
	t.Logf("%-12s %11s %9s %6s %6s %9s %17s %9s", "damage", "corruptions", "records", "lost", "worst", "invented", "lost by Wireshark", "invented")
	for _, kind := range append(corruptionKinds, otherBlocks) {
		l := table[kind]
		t.Logf("%-12s %11d %9d %6d %6d %9d %17d %9d", kind, l.corruptions, l.records, l.lost, l.worst, l.invented, l.wiresharkLost, l.wiresharkInvented)
		if kind != otherBlocks && 1000*l.lost > l.records {
			t.Errorf("%s: %d of %d records lost, wanted at most 0.1 %%", kind, l.lost, l.records)
		}
	}
}

// corruptible returns captures of the corpus that are intact, uncompressed, and long
// enough to be damaged in the middle.
func corruptible(t *testing.T, want int) (names []string) {
	corpus, rows := lab.CorpusIndex(t)
	for _, row := range rows {
		packets, _ := strconv.Atoi(row["pkts"])
		size, _ := strconv.Atoi(row["bytes"])
		if len(names) < want && packets >= 60 && size <= 1<<20 && row["comp"] == "" && row["note"] == "" && row["path"] != "joincap/bad_global.pcap" {
			names = append(names, filepath.Join(corpus, row["path"]))
		}
	}
	if len(names) < want {
		t.Fatalf("%d captures, wanted %d", len(names), want)
	}
	return names
}

// wiresharkKeys are the records that editcap reads.
func wiresharkKeys(t *testing.T, file []byte, path string) (keys []recordKey) {
	if err := os.WriteFile(path, file, 0o666); err != nil {
		t.Error(err)
		return nil
	}
	defer os.Remove(path)
	copied, _ := exec.Command("editcap", "-F", "pcapng", path, "-").Output() // it fails at damage
	for _, f := range readPlainPcapNG(copied) {
		time, _ := strconv.ParseInt(f.time, 10, 64)
		keys = append(keys, recordKey{time, f.length, stream.LinkType(f.linkType), maphash.String(keySeed, f.data)})
	}
	return keys
}

// FuzzCorruption damages made captures: at most two records that the damage does not touch
// are lost, at most one is invented, and every byte is accounted for.
func FuzzCorruption(f *testing.F) {
	for kind := range corruptionKinds {
		f.Add(uint64(kind), uint8(kind), false, []byte{60, 200, 1, 90})
		f.Add(uint64(kind), uint8(kind), true, []byte{60, 60, 60})
	}
	f.Fuzz(func(t *testing.T, seed uint64, kind uint8, pcapng bool, lengths []byte) {
		random := rand.New(rand.NewPCG(seed, 3))
		var packets []stream.Packet
		time := lab.Start
		for i := range 100 {
			length := 60
			if len(lengths) > 0 {
				length = 60 + 5*int(lengths[i%len(lengths)])
			}
			data := lab.Frame(uint16(random.IntN(4)), random.Uint32(), length)
			packets = append(packets, stream.Packet{Time: time, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet})
			time += random.Int64N(1e9) * 1000 / (1 + random.Int64N(1e6)) * 1000
		}
		var file bytes.Buffer
		w := newWriter(&file, stream.WriterOptions{PcapNG: pcapng})
		if err := errors.Join(w.Write(packets), w.Close()); err != nil {
			t.Fatal(err)
		}
		records := places(t, file.Bytes())
		c := corrupt(random, corruptionKinds[int(kind)%len(corruptionKinds)], file.Bytes(), records, pcapng)
		damaged := c.apply(file.Bytes())
		got, damage, accounted := readDamaged(t, damaged)
		o, touched := judge(records, c, got)
		overlaps := strings.Contains(fmt.Sprint(damage), "reaches into")
		if o.lost > 2 || o.invented > touched+1 || !pcapng && (accounted < int64(len(damaged)) || accounted > int64(len(damaged)) && !overlaps) {
			t.Errorf("%s from %d to %d: %d records lost, %d invented, %d touched; %d of %d bytes are accounted for; damage %v",
				c.kind, c.start, c.end, o.lost, o.invented, touched, accounted, len(damaged), damage)
		}
	})
}

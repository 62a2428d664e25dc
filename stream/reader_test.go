package stream_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/gopacket"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var layouts = []struct {
	name        string
	order       byteOrder
	nanoseconds bool
}{
	{"little-endian nanoseconds", binary.LittleEndian, true},
	{"little-endian microseconds", binary.LittleEndian, false},
	{"big-endian nanoseconds", binary.BigEndian, true},
	{"big-endian microseconds", binary.BigEndian, false},
}

// sequences are the numbers that lab.Frame put into the packets of a stream.
func sequences(t *testing.T, file []byte) (numbers []uint32, damage []*stream.Damage) {
	t.Helper()
	r := stream.NewReader(bytes.NewReader(file))
	for p, err := range r.Packets() {
		var d *stream.Damage
		if errors.As(err, &d) {
			damage = append(damage, d)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		number, ok := lab.Sequence(p.Data)
		if !ok {
			t.Errorf("packet of %d bytes is none of ours: %x; damage %v", len(p.Data), p.Data[:min(40, len(p.Data))], damage)
		}
		numbers = append(numbers, number)
	}
	return numbers, damage
}

func TestReadsPcapOfEveryLayout(t *testing.T) {
	packets := lab.Packets(1000, lab.Start+123456000, time.Millisecond, 100)
	for _, l := range layouts {
		t.Run(l.name, func(t *testing.T) {
			r := stream.NewReader(bytes.NewReader(lab.Pcap(packets, l.order, l.nanoseconds)))
			i := 0
			for p, err := range r.Packets() {
				if err != nil {
					t.Fatal(err)
				}
				want := &packets[i]
				if p.Time != want.Time || !bytes.Equal(p.Data, want.Data) || p.WireLength != want.WireLength || p.LinkType != want.LinkType {
					t.Fatalf("packet %d: %+v, wanted %+v", i, p, want)
				}
				i++
			}
			if i != len(packets) {
				t.Errorf("%d packets, wanted %d", i, len(packets))
			}
		})
	}
}

func TestSectionsOfAllFormatsFollowOneAnother(t *testing.T) {
	packets := lab.Packets(10, lab.Start, time.Millisecond, 100)
	var file []byte
	for _, l := range layouts {
		file = append(file, lab.Pcap(packets, l.order, l.nanoseconds)...)
		var pcapng bytes.Buffer
		w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
		if err := errors.Join(w.Write(packets), w.Close()); err != nil {
			t.Fatal(err)
		}
		file = append(file, pcapng.Bytes()...)
		file = append(file, lab.Pcap(nil, l.order, l.nanoseconds)...)
	}
	r := stream.NewReader(bytes.NewReader(file))
	batch := make([]stream.Packet, 1000)
	var indexes []int
	for {
		n, err := r.Read(batch)
		if err == io.EOF {
			break
		}
		if err != nil || n != 10 {
			t.Fatalf("%d packets, error %v: a batch is one section", n, err)
		}
		indexes = append(indexes, r.Section().Index)
	}
	if got := fmt.Sprint(indexes); got != "[0 1 3 4 6 7 9 10]" || r.Sections() != 12 {
		t.Errorf("packets of sections %s of %d", got, r.Sections())
	}
}

// TestBlockLooksLikeTheBeginningOfACapture has captures after a pcapng whose first
// bytes could be the type and the length of a block.
func TestBlockLooksLikeTheBeginningOfACapture(t *testing.T) {
	packets := lab.Packets(10, lab.Start, time.Millisecond, 100)
	bigEndian := binary.BigEndian
	section := bigEndian.AppendUint32(nil, 0x0a0d0d0a)
	section = bigEndian.AppendUint32(section, 28)
	section = bigEndian.AppendUint32(section, 0x1a2b3c4d)
	section = bigEndian.AppendUint32(section, 1<<16)
	section = bigEndian.AppendUint64(section, 1<<64-1)
	section = bigEndian.AppendUint32(section, 28)
	var pcapng bytes.Buffer
	w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(packets), w.Close()); err != nil {
		t.Fatal(err)
	}
	pcap := lab.Pcap(packets, binary.LittleEndian, true)
	empty := lab.Pcap(nil, binary.LittleEndian, true)
	for name, file := range map[string][]byte{
		"version 2.4 as length 131076":         slices.Concat(section, lab.Pcap(packets, bigEndian, true)),
		"zstd header as a length":              slices.Concat(pcapng.Bytes(), compress(t, empty, "zstd", "-c", "--stream-size=24")),
		"the same, and more behind it":         slices.Concat(pcapng.Bytes(), compress(t, empty, "zstd", "-c", "--stream-size=24"), empty, bytes.Repeat(empty, 1<<19)),
		"skippable frame in front of zstd":     slices.Concat(section, compress(t, pcap, "pzstd", "-c", "-q")),
		"skippable frame, behind pcap records": slices.Concat(pcap, compress(t, empty, "pzstd", "-c", "-q")),
	} {
		t.Run(name, func(t *testing.T) {
			if numbers, damage := sequences(t, file); len(numbers) != 10 || len(damage) > 0 {
				t.Errorf("%d packets, wanted 10; damage %v", len(numbers), damage)
			}
		})
	}
}

func TestEmptyStreamsAreFine(t *testing.T) {
	for name, file := range map[string][]byte{"no bytes": nil, "no packets": lab.Pcap(nil, binary.LittleEndian, true)} {
		if got := readAll(stream.NewReader(bytes.NewReader(file)), 8); got.packets != 0 || got.err != nil || len(got.damage) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestWhatIsNoCaptureIsSaid(t *testing.T) {
	for _, file := range []string{"x", "\xd4\xc3\xb2", "\xd4\xc3\xb2\xa1\x02\x00\x04", "snoop\x00\x00\x00\x00\x00\x00\x02", "hello, this is a text of some length", "\x0a\x0d\x0d\x0a\x1c\x00\x00\x00abcdefghijklmnopqrstuvwxyz"} {
		got := readAll(stream.NewReader(bytes.NewReader([]byte(file))), 8)
		if !errors.Is(got.err, stream.ErrNotCapture) {
			t.Errorf("%q: %v", file, got.err)
		}
	}
}

// A stream that is cut anywhere gives every whole packet, and says what is lost.
func TestCutAtEveryByte(t *testing.T) {
	packets := lab.Packets(6, lab.Start, time.Millisecond, 60)
	for _, l := range layouts {
		file := lab.Pcap(packets, l.order, l.nanoseconds)
		for keep := 24; keep <= len(file); keep++ {
			whole, rest := (keep-24)/76, (keep-24)%76
			numbers, damage := sequences(t, file[:keep])
			if len(numbers) != whole {
				t.Fatalf("%s cut at %d: %d packets, wanted %d", l.name, keep, len(numbers), whole)
			}
			if rest == 0 && len(damage) > 0 || rest > 0 && (len(damage) != 1 || damage[0].Lost != int64(rest) || !damage[0].Truncated || damage[0].Offset != int64(24+76*whole) || damage[0].Record != int64(whole+1)) {
				t.Fatalf("%s cut at %d: damage %v, wanted %d bytes lost", l.name, keep, damage, rest)
			}
		}
	}
}

func TestCutPcapNGAtEveryByte(t *testing.T) {
	var file bytes.Buffer
	w := newWriter(&file, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(lab.Packets(6, lab.Start, time.Millisecond, 61)), w.Close()); err != nil {
		t.Fatal(err)
	}
	const before, block = 28 + 32, 32 + 64
	for keep := before; keep <= file.Len(); keep++ {
		numbers, damage := sequences(t, file.Bytes()[:keep])
		if want := (keep - before) / block; len(numbers) != want {
			t.Fatalf("cut at %d: %d packets, wanted %d", keep, len(numbers), want)
		}
		if rest := (keep - before) % block; rest == 0 && len(damage) > 0 || rest > 0 && (len(damage) != 1 || damage[0].Lost != int64(rest)) {
			t.Fatalf("cut at %d: damage %v, wanted %d bytes lost", keep, damage, rest)
		}
	}
}

// Whatever is done to one record header, the other packets come out.
func TestDamagedRecordHeaderLosesOneRecord(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const count, length = 40, 100
	packets := lab.Packets(count, lab.Start, time.Millisecond, length)
	for _, l := range layouts {
		for trial := range 400 {
			file := lab.Pcap(packets, l.order, l.nanoseconds)
			victim := random.IntN(count)
			at := 24 + victim*(16+length)
			header := file[at : at+16]
			switch trial % 5 {
			case 0: // the captured length is far too large
				l.order.PutUint32(header[8:], 0xffffffff)
			case 1: // it is a little off, and so is the length on the wire
				off := uint32(1 + random.IntN(50))
				l.order.PutUint32(header[8:], length+off)
				l.order.PutUint32(header[12:], length+off)
			case 2: // it is too small
				l.order.PutUint32(header[8:], uint32(1+random.IntN(length-60)+59))
			case 3: // it swallows several records
				l.order.PutUint32(header[8:], 1000)
				l.order.PutUint32(header[12:], 1000)
			case 4: // all of it is noise
				for i := range header {
					header[i] = byte(random.Uint32())
				}
			}
			numbers, damage := sequences(t, file)
			if len(damage) == 0 {
				t.Fatalf("%s, trial %d, record %d: no damage told", l.name, trial, victim)
			}
			seen := map[uint32]bool{}
			for _, number := range numbers {
				seen[number] = true
			}
			for number := range uint32(count) {
				if !seen[number] && number != uint32(victim) {
					t.Fatalf("%s, trial %d, record %d: packet %d is lost; damage %v", l.name, trial, victim, number, damage)
				}
			}
		}
	}
}

func TestJunkBetweenRecordsIsSkipped(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	packets := lab.Packets(40, lab.Start, time.Millisecond, 100)
	for trial := range 200 {
		file := lab.Pcap(packets, binary.LittleEndian, true)
		junk := make([]byte, 1+random.IntN(5000))
		for i := range junk {
			junk[i] = byte(random.Uint32())
		}
		at := 24 + random.IntN(41)*116
		file = append(file[:at:at], append(junk, file[at:]...)...)
		numbers, damage := sequences(t, file)
		if len(numbers) != 40 || len(damage) == 0 {
			t.Fatalf("trial %d: %d bytes of junk at %d: %d packets, damage %v", trial, len(junk), at, len(numbers), damage)
		}
	}
}

// The file before was cut inside a record; the next one begins there.
func TestSectionBehindATruncatedOne(t *testing.T) {
	first := lab.Pcap(lab.Packets(10, lab.Start, time.Millisecond, 200), binary.LittleEndian, true)
	second := lab.Pcap(lab.Packets(10, lab.Start, time.Millisecond, 200), binary.LittleEndian, false)
	for cut := 24 + 9*216; cut < len(first); cut++ {
		if cut == len(first)-24 {
			continue // the last record swallows just the file header: nobody can tell
		}
		file := append(first[:cut:cut], second...)
		r := stream.NewReader(bytes.NewReader(file))
		got := readAll(r, 8)
		if got.packets < 19 || r.Sections() != 2 || cut > 24+9*216 && len(got.damage) == 0 {
			t.Fatalf("cut at %d: %d packets in %d sections, damage %q", cut, got.packets, r.Sections(), got.damage)
		}
	}
}

func TestDamagedBlockLosesOneBlock(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var pcapng bytes.Buffer
	w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(lab.Packets(40, lab.Start, time.Millisecond, 100)), w.Close()); err != nil {
		t.Fatal(err)
	}
	for trial := range 400 {
		file := bytes.Clone(pcapng.Bytes())
		victim := random.IntN(40)
		block := file[60+victim*132:][:132]
		switch trial % 4 {
		case 0: // the length
			binary.NativeEndian.PutUint32(block[4:], random.Uint32())
		case 1: // the length at the end
			binary.NativeEndian.PutUint32(block[128:], random.Uint32())
		case 2: // the captured length
			binary.NativeEndian.PutUint32(block[20:], 0xffffff)
		case 3: // the interface
			binary.NativeEndian.PutUint32(block[8:], 7)
		}
		numbers, damage := sequences(t, file)
		if len(numbers) < 39 || len(damage) == 0 {
			t.Fatalf("trial %d, block %d: %d packets, damage %v", trial, victim, len(numbers), damage)
		}
	}
}

func TestSourceErrorsCome(t *testing.T) {
	file := lab.Pcap(lab.Packets(10, lab.Start, time.Millisecond, 100), binary.LittleEndian, true)
	broken := errors.New("input/output error")
	for _, keep := range []int{0, 3, 10, 24, 24 + 116, 24 + 116 + 20} {
		r := stream.NewReader(io.MultiReader(bytes.NewReader(file[:keep]), iotest.ErrReader(broken)))
		if got := readAll(r, 8); !errors.Is(got.err, broken) {
			t.Errorf("after %d bytes: %v", keep, got.err)
		}
	}
}

// A live source is never asked for more than one packet needs.
func TestReadReturnsEarly(t *testing.T) {
	file := lab.Pcap(lab.Packets(3, lab.Start, time.Second, 100), binary.LittleEndian, true)
	in, out := io.Pipe()
	defer in.Close()
	r := stream.NewReader(in)
	batch := make([]stream.Packet, 16)
	for i := range 3 {
		from, to := 24+i*116, 24+(i+1)*116
		if i == 0 {
			from = 0
		}
		go out.Write(file[from:to])
		n, err := r.Read(batch)
		if n != 1 || err != nil {
			t.Fatalf("%d packets, error %v", n, err)
		}
		if r.Buffered() {
			t.Error("a packet is said to be buffered, but none is")
		}
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	packets := lab.Packets(100000, lab.Start, time.Microsecond, 60)
	var pcapng bytes.Buffer
	w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(packets), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"pcap": lab.Pcap(packets, binary.LittleEndian, true), "pcapng": pcapng.Bytes()} {
		r := stream.NewReader(bytes.NewReader(file))
		batch := make([]stream.Packet, 64)
		if _, err := r.Read(batch); err != nil {
			t.Fatal(err)
		}
		if allocations := testing.AllocsPerRun(1000, func() { _, _ = r.Read(batch) }); allocations > 0 {
			t.Errorf("%s: %v allocations a batch", name, allocations)
		}
	}
}

// A reader that is used again reads as a new one does, whatever it read before.
func TestResetReadsAsANewReader(t *testing.T) {
	packets := lab.Packets(300, lab.Start, time.Millisecond, 1000)
	whole := lab.Pcap(packets, binary.LittleEndian, true)
	var pcapng, compressed bytes.Buffer
	w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
	z := gzip.NewWriter(&compressed)
	_, err := z.Write(lab.Pcap(packets, binary.BigEndian, false))
	if err := errors.Join(w.Write(packets), w.Close(), err, z.Close()); err != nil {
		t.Fatal(err)
	}
	files := [][]byte{whole, whole[:len(whole)/2], pcapng.Bytes(), compressed.Bytes(), compressed.Bytes()[:compressed.Len()/2],
		append(whole[:len(whole):len(whole)], whole...), []byte("no capture"), nil, whole}
	again := stream.NewReader(nil)
	for i, file := range files {
		again.Reset(bytes.NewReader(file))
		fresh := stream.NewReader(bytes.NewReader(file))
		wanted, got := readAll(fresh, 8), readAll(again, 8)
		if fmt.Sprint(got.err) != fmt.Sprint(wanted.err) {
			t.Errorf("file %d: error %v, wanted %v", i, got.err, wanted.err)
		}
		got.err, wanted.err = nil, nil
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", wanted) {
			t.Errorf("file %d: got %+v, wanted %+v", i, got, wanted)
		}
		if got, wanted := fmt.Sprint(again.Sections(), again.LinkTypes(), again.Offset()), fmt.Sprint(fresh.Sections(), fresh.LinkTypes(), fresh.Offset()); got != wanted {
			t.Errorf("file %d: sections, link types and offset %s, wanted %s", i, got, wanted)
		}
	}
	if allocations := testing.AllocsPerRun(100, func() { again.Reset(nil) }); allocations > 0 {
		t.Errorf("%v allocations a reset", allocations)
	}
}

func TestGopacketReadsFromIt(t *testing.T) {
	packets := lab.Packets(200, lab.Start, time.Millisecond, 100)
	r := stream.NewReader(bytes.NewReader(lab.Pcap(packets, binary.LittleEndian, true)))
	var source gopacket.PacketDataSource = r
	for i := range packets {
		data, info, err := source.ReadPacketData()
		if err != nil || !bytes.Equal(data, packets[i].Data) || info.Timestamp.UnixNano() != packets[i].Time || info.CaptureLength != len(data) || info.Length != len(data) {
			t.Fatalf("packet %d: %+v, error %v", i, info, err)
		}
	}
	if _, _, err := source.ReadPacketData(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcap")
	if err := os.WriteFile(path, lab.Pcap(lab.Packets(3, lab.Start, 0, 60), binary.LittleEndian, true), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := stream.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(r, 2); got.packets != 3 {
		t.Errorf("%d packets", got.packets)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Open(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// An interface whose options are broken has packets all the same, but its times may
// mean something else: that is said.
func TestBrokenInterfaceOptionsAreSaid(t *testing.T) {
	var pcapng bytes.Buffer
	w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(lab.Packets(3, lab.Start, time.Millisecond, 100)), w.Close()); err != nil {
		t.Fatal(err)
	}
	const (
		blockOffset  = 28
		optionOffset = blockOffset + 16 // if_tsresol: code, length, value
	)
	for _, length := range []uint16{0, 2, 4, 400} {
		file := bytes.Clone(pcapng.Bytes())
		binary.NativeEndian.PutUint16(file[optionOffset+2:], length)
		numbers, damage := sequences(t, file)
		if len(numbers) != 3 || len(damage) != 1 || damage[0].Offset != blockOffset || damage[0].Lost != 0 {
			t.Errorf("option of %d bytes: packets %v, damage %v", length, numbers, damage)
		}
	}
}

// Blocks of unregistered types are skipped and counted. Those of registered ones are not
// counted.
func TestUnknownBlocksAreCounted(t *testing.T) {
	var pcapng bytes.Buffer
	w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(lab.Packets(3, lab.Start, time.Millisecond, 100)), w.Close()); err != nil {
		t.Fatal(err)
	}
	file := pcapng.Bytes()
	for _, kind := range []uint32{0x80000002, 0x80000002, 9, 0x204, 0x0bad, 77} {
		file = binary.NativeEndian.AppendUint32(file, kind)
		file = binary.NativeEndian.AppendUint32(file, 20)
		file = append(file, 1, 2, 3, 4, 5, 6, 7, 8)
		file = binary.NativeEndian.AppendUint32(file, 20)
	}
	r := stream.NewReader(bytes.NewReader(file))
	if got := readAll(r, 8); got.packets != 3 || got.err != nil || len(got.damage) > 0 {
		t.Errorf("%+v", got)
	}
	want := []stream.UnknownBlocks{{Type: 0x80000002, Blocks: 2, Bytes: 40}, {Type: 77, Blocks: 1, Bytes: 20}}
	if got := r.UnknownBlocks(); !slices.Equal(got, want) {
		t.Errorf("%+v, wanted %+v", got, want)
	}
}

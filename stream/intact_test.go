package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// script turns bytes into packets of any times and contents: what a fuzzer changes,
// and what a seed fills at random.
type script struct{ bytes []byte }

func (s *script) next(below int) int {
	if len(s.bytes) < 2 {
		s.bytes = nil
		return 0
	}
	n := int(binary.LittleEndian.Uint16(s.bytes)) % below
	s.bytes = s.bytes[2:]
	return n
}

func (s *script) number() uint32 {
	return uint32(s.next(1<<16))<<16 | uint32(s.next(1<<16))
}

// notableSeconds are times that a reader may take for something else: the beginning
// and the end of time, magics of captures in both byte orders and of compressions.
var notableSeconds = []uint32{
	0, 1, 5, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1600000000,
	0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0xa1b2cd34, 0x34cdb2a1, 0x0a0d0d0a,
	0x00088b1f, 0x184d2204, 0x184c2102, 0x184d2a50, 0xfd2fb528, 0x587a37fd, 0x39685a42,
}

// packets makes up to 40 packets, with a fraction of a second in microseconds.
func (s *script) packets() (packets []stream.Packet) {
	seconds := uint32(1600000000)
	for count := 1 + s.next(40); len(packets) < count; {
		switch s.next(8) {
		case 0:
			seconds = notableSeconds[s.next(len(notableSeconds))]
		case 1:
			seconds = s.number()
		case 2:
			seconds -= uint32(s.next(1 << 16))
		default:
			seconds += uint32(s.next(3))
		}
		fraction := s.number() % 1e6
		data := s.data()
		if s.next(8) == 0 && seconds >= 1e9 {
			fraction = uint32(len(data)) // as if the header were read four bytes too late; with fewer seconds, it could be
		}
		p := stream.Packet{Time: int64(seconds)*1e9 + int64(fraction)*1e3, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeRaw}
		if s.next(8) == 0 {
			p.WireLength += s.number() % 100000
		}
		if len(data) == 0 && (seconds == 0 && fraction == 0 || slices.Contains(notableSeconds[7:14], seconds)) {
			p.Time, p.WireLength = p.Time+1e9, 1 // a header of zeros is damage, and one of a magic begins a file
		}
		packets = append(packets, p)
	}
	return packets
}

// data makes the bytes of a packet: among them zeros, whole captures, headers of records
// that fit one another, and bytes that make a header read four bytes too late look sound.
func (s *script) data() []byte {
	length := s.next(200)
	switch s.next(8) {
	case 0:
		return nil
	case 1:
		return make([]byte, length)
	case 2:
		inner := lab.Packets(1+s.next(5), lab.Start, 1e6, 60)
		return lab.Pcap(inner, binary.LittleEndian, s.next(2) == 0)
	case 3:
		return lab.Pcap(lab.Packets(1+s.next(5), int64(s.number())*1e9, 1e6, 60), binary.LittleEndian, false)[24:]
	case 4:
		data := bytes.Repeat([]byte{0xff}, 8+length)
		binary.LittleEndian.PutUint32(data, uint32(len(data)))
		return data
	case 5:
		var file bytes.Buffer
		w := newWriter(&file, stream.WriterOptions{PcapNG: true})
		_ = errors.Join(w.Write(lab.Packets(2, lab.Start, 1e6, 60)), w.Close())
		return file.Bytes()
	case 6:
		data := make([]byte, length)
		for i := range data {
			data[i] = byte(s.next(256))
		}
		return data
	}
	return lab.Frame(0, uint32(length), 60)
}

// modifiedPcap encodes packets as Alexey Kuznetzov's modified pcap.
func modifiedPcap(packets []stream.Packet, order byteOrder) []byte {
	file := lab.Pcap(packets[:1], order, false)[:24]
	order.PutUint32(file, 0xa1b2cd34)
	for _, p := range packets {
		for _, field := range []uint32{uint32(p.Time / 1e9), uint32(p.Time % 1e9 / 1e3), uint32(len(p.Data)), p.WireLength, 2, 0x8000000} {
			file = order.AppendUint32(file, field)
		}
		file = append(file, p.Data...)
	}
	return file
}

// checkIntact writes packets in every format, alone, one after the other, and
// compressed, and reads them back.
func checkIntact(t *testing.T, packets []stream.Packet) {
	var captures []intactCapture
	for _, l := range layouts {
		captures = append(captures, intactCapture{l.name, lab.Pcap(packets, l.order, l.nanoseconds), 1},
			intactCapture{"modified " + l.name, modifiedPcap(packets, l.order), 1})
	}
	for _, pcapng := range []bool{false, true} {
		var file bytes.Buffer
		w := newWriter(&file, stream.WriterOptions{PcapNG: pcapng})
		if err := errors.Join(w.Write(packets), w.Close()); err != nil {
			t.Fatal(err)
		}
		captures = append(captures, intactCapture{fmt.Sprintf("writer, pcapng %t", pcapng), file.Bytes(), 1})
	}
	for _, c := range slices.Clone(captures) {
		captures = append(captures, intactCapture{"three of " + c.name, bytes.Repeat(c.file, 3), 3})
	}
	captures = append(captures, intactCapture{"compressed", gzipped(captures[0].file), 1})
	for _, c := range captures {
		c.check(t, packets)
	}
}

// intactCapture holds the same packets a number of times, in as many sections.
type intactCapture struct {
	name  string
	file  []byte
	times int
}

func (c *intactCapture) check(t *testing.T, packets []stream.Packet) {
	r := stream.NewReader(bytes.NewReader(c.file))
	defer r.Close()
	i, total := 0, c.times*len(packets)
	for p, err := range r.Packets() {
		if err != nil {
			t.Fatalf("%s: packet %d of %d: %v", c.name, i+1, total, err)
		}
		want := &packets[i%len(packets)]
		if p.Time != want.Time || p.WireLength != want.WireLength || !bytes.Equal(p.Data, want.Data) {
			t.Fatalf("%s: packet %d of %d: time %d, %d of %d bytes; wanted %d, %d of %d", c.name, i+1, total,
				p.Time, len(p.Data), p.WireLength, want.Time, len(want.Data), want.WireLength)
		}
		i++
	}
	if i != total || r.Sections() != c.times {
		t.Fatalf("%s: %d packets in %d sections, wanted %d in %d", c.name, i, r.Sections(), total, c.times)
	}
}

// TestIntactCapturesAreReadAsTheyStand writes packets of any times and bytes and reads
// them back.
func TestIntactCapturesAreReadAsTheyStand(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 5))
		text := make([]byte, 4000)
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		packets := (&script{text}).packets()
		if ok := t.Run(fmt.Sprint(seed), func(t *testing.T) { checkIntact(t, packets) }); !ok {
			return
		}
	}
}

// FuzzIntact is the same property of what the fuzzer makes up.
func FuzzIntact(f *testing.F) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 5))
		text := make([]byte, 600)
		for i := range text {
			text[i] = byte(random.Uint32())
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkIntact(t, (&script{text}).packets()) })
}

package stream_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// blocks writes blocks of pcapng.
type blocks struct{ order binary.AppendByteOrder }

func (b blocks) words(values ...uint32) (bytes []byte) {
	for _, v := range values {
		bytes = b.order.AppendUint32(bytes, v)
	}
	return bytes
}

func (b blocks) halves(values ...uint16) (bytes []byte) {
	for _, v := range values {
		bytes = b.order.AppendUint16(bytes, v)
	}
	return bytes
}

func (b blocks) block(kind uint32, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	length := uint32(len(body) + 12)
	return bytes.Join([][]byte{b.words(kind, length), body, b.words(length)}, nil)
}

func (b blocks) section() []byte {
	return b.block(0x0a0d0d0a, b.words(0x1a2b3c4d), b.halves(1, 0), bytes.Repeat([]byte{0xff}, 8))
}

// ethernet is an interface with a time resolution, in the unit of if_tsresol, and an offset in
// seconds.
func (b blocks) ethernet(resolution byte, offset int64) []byte {
	return b.block(1, b.halves(uint16(stream.LinkTypeEthernet), 0), b.words(0),
		b.halves(9, 1), []byte{resolution, 0, 0, 0}, b.halves(14, 8), b.order.AppendUint64(nil, uint64(offset)))
}

func (b blocks) packet(interfaceID uint32, units uint64) []byte {
	return b.block(6, b.words(interfaceID, uint32(units>>32), uint32(units), 4, 4), []byte("data"))
}

// A packet without a timestamp at the beginning of a section gets the first timestamp that
// follows, also if the block of its interface follows, too.
func TestUntimedPacketBeforeItsInterface(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := blocks{order}
		simple := b.block(3, b.words(4), []byte("data"))
		file := bytes.Join([][]byte{b.section(), b.ethernet(6, 0), simple, b.ethernet(9, 0), b.packet(1, uint64(lab.Start+7))}, nil)

		r := stream.NewReader(bytes.NewReader(file))
		count := 0
		for p, err := range r.Packets() {
			if err != nil {
				t.Fatal(err)
			}
			if p.Time != lab.Start+7 || p.Untimed != (count == 0) {
				t.Errorf("%v: packet %d at %d, untimed %v; wanted %d", order, count, p.Time, p.Untimed, lab.Start+7)
			}
			count++
		}
		if count != 2 || r.Close() != nil {
			t.Errorf("%v: %d packets, wanted 2", order, count)
		}
	}
}

// Only the sum of a timestamp and the offset of its interface has to be in range.
func TestTimeOffsets(t *testing.T) {
	b := blocks{binary.LittleEndian}
	for _, test := range []struct {
		name       string
		resolution byte
		offset     int64
		units      uint64
		wanted     int64
	}{
		{"before 1970", 9, -2, 1, -2e9 + 1},
		{"nanoseconds after 2262", 9, -5e9, 10e18 + 1, 5e18 + 1},
		{"seconds after 2262", 0, -2e10, 21e9, 1e18},
		{"binary fractions after 2262", 0x80 | 20, -1e10, 10000000001<<20 | 1<<19, 1.5e9},
		{"the latest time", 9, 1, math.MaxInt64 - 1e9, math.MaxInt64},
		{"a nanosecond too late", 9, 1, math.MaxInt64 - 1e9 + 1, math.MaxInt64},
		{"the latest offset", 0, math.MaxInt64, math.MaxUint64, math.MaxInt64},
		{"too early", 9, -1e10, 1, math.MinInt64},
		{"the earliest offset", 6, math.MinInt64, 1e6, math.MinInt64},
	} {
		r := stream.NewReader(bytes.NewReader(bytes.Join([][]byte{b.section(), b.ethernet(test.resolution, test.offset), b.packet(0, test.units)}, nil)))
		for p, err := range r.Packets() {
			if err != nil || p.Time != test.wanted {
				t.Errorf("%s: wanted %d, got %d, %v", test.name, test.wanted, p.Time, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

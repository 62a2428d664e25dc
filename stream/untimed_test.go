package stream_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// A packet without a timestamp at the beginning of a section gets the first timestamp that
// follows, also if the block of its interface follows, too.
func TestUntimedPacketBeforeItsInterface(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		words := func(values ...uint32) (b []byte) {
			for _, v := range values {
				b = order.AppendUint32(b, v)
			}
			return b
		}
		block := func(kind uint32, body []byte) []byte {
			length := uint32(len(body) + 12)
			return append(append(words(kind, length), body...), words(length)...)
		}
		half := func(a, b uint16) []byte { return order.AppendUint16(order.AppendUint16(nil, a), b) }
		const nanoseconds = 9 // if_tsresol
		link := half(uint16(stream.LinkTypeEthernet), 0)
		section := block(0x0a0d0d0a, append(append(words(0x1a2b3c4d), half(1, 0)...), bytes.Repeat([]byte{0xff}, 8)...))
		microseconds := block(1, append(link, words(0)...))
		described := append(append(bytes.Clone(link), words(0)...), append(half(9, 1), nanoseconds, 0, 0, 0)...)
		simple := block(3, append(words(4), "data"...))
		start := uint64(lab.Start + 7)
		enhanced := block(6, append(words(1, uint32(start>>32), uint32(start), 4, 4), "data"...))
		file := bytes.Join([][]byte{section, microseconds, simple, block(1, described), enhanced}, nil)

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

package stream_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// pcapWithFCS is a capture whose header says that frames end in a sequence of so many
// 16-bit words.
func pcapWithFCS(packets []stream.Packet, order binary.AppendByteOrder, words uint32) []byte {
	file := lab.Pcap(packets, order, true)
	order.(binary.ByteOrder).PutUint32(file[20:], words<<28|1<<26|uint32(stream.LinkTypeEthernet))
	return file
}

// pcapNGWithFCS has an interface with if_fcslen, whose packets stand in enhanced and in
// simple packet blocks by turns.
func pcapNGWithFCS(packets []stream.Packet, order binary.AppendByteOrder, value byte) (file []byte) {
	block := func(kind uint32, body []byte) {
		body = append(body, make([]byte, -len(body)&3)...)
		file = order.AppendUint32(file, kind)
		file = order.AppendUint32(file, uint32(len(body)+12))
		file = append(file, body...)
		file = order.AppendUint32(file, uint32(len(body)+12))
	}
	words := func(values ...uint32) (b []byte) {
		for _, v := range values {
			b = order.AppendUint32(b, v)
		}
		return b
	}
	header := order.AppendUint16(words(0x1a2b3c4d), 1)
	block(0x0a0d0d0a, append(order.AppendUint16(header, 0), bytes.Repeat([]byte{0xff}, 8)...))
	description := order.AppendUint16(order.AppendUint16(nil, uint16(stream.LinkTypeEthernet)), 0)
	description = append(description, words(0)...)
	description = order.AppendUint16(order.AppendUint16(description, 13), 1)
	block(1, append(description, value, 0, 0, 0))
	for i, p := range packets {
		if i%2 == 0 || len(p.Data) < int(p.WireLength) {
			block(6, append(words(0, 0, 0, uint32(len(p.Data)), p.WireLength), p.Data...))
		} else {
			block(3, append(words(p.WireLength), p.Data...))
		}
	}
	return file
}

// Where a capture says that frames end in a frame check sequence, it is left out if that
// was asked for: from the data, as far as it was captured, and from the length.
func TestFCSIsLeftOut(t *testing.T) {
	frame := lab.Frame(0, 0, 100)
	packet := func(captured, wireLength int) stream.Packet {
		return stream.Packet{Time: lab.Start, Data: frame[:captured], WireLength: uint32(wireLength), LinkType: stream.LinkTypeEthernet}
	}
	packets := []stream.Packet{packet(100, 100), packet(64, 64), packet(98, 100), packet(60, 100), packet(3, 3)}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for name, test := range map[string]struct {
			file   []byte
			length int
		}{
			"pcap of 4":         {pcapWithFCS(packets, order, 2), 4},
			"pcap of 2":         {pcapWithFCS(packets, order, 1), 2},
			"pcap of 0":         {pcapWithFCS(packets, order, 0), 0},
			"pcap without":      {lab.Pcap(packets, order, true), 0},
			"pcapng of 4 bytes": {pcapNGWithFCS(packets, order, 4), 4},
			"pcapng of 32 bits": {pcapNGWithFCS(packets, order, 32), 4},
			"pcapng of 16 bits": {pcapNGWithFCS(packets, order, 16), 2},
			"pcapng of 0":       {pcapNGWithFCS(packets, order, 0), 0},
		} {
			for _, leaveOut := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %v, leave out %v", name, order, leaveOut), func(t *testing.T) {
					r := stream.NewReader(bytes.NewReader(test.file))
					defer r.Close()
					length := 0
					if leaveOut {
						r.LeaveOutFCS()
						length = test.length
					}
					var got []stream.Packet
					batch := make([]stream.Packet, 2)
					for len(got) < len(packets) {
						n, err := r.Read(batch)
						if err != nil {
							t.Fatal(err)
						}
						for i := range batch[:n] {
							kept := batch[i]
							kept.Data = bytes.Clone(kept.Data)
							got = append(got, kept)
						}
					}
					for i, p := range packets {
						wireLength := max(int(p.WireLength)-length, 0)
						data := p.Data[:min(len(p.Data), wireLength)]
						if got[i].WireLength != uint32(wireLength) || !bytes.Equal(got[i].Data, data) {
							t.Errorf("packet %d: %d of %d bytes, wanted %d of %d", i, len(got[i].Data), got[i].WireLength, len(data), wireLength)
						}
					}
				})
			}
		}
	}
}

// The flags word of a packet block may have another length of the sequence than the interface.
func TestFCSOfAPacket(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := blocks{order}
		data := lab.Frame(0, 0, 64)
		packet := func(length uint32) []byte {
			flags := b.words(length<<5 | uint32(stream.Outbound))
			return b.block(6, b.words(0, 0, 0, 64, 64), data, b.halves(1, 4), []byte("text"), b.halves(2, 4), flags, b.halves(0, 0))
		}
		ofInterface := b.block(1, b.halves(uint16(stream.LinkTypeEthernet), 0), b.words(0), b.halves(13, 1), []byte{4, 0, 0, 0})
		for _, test := range []struct {
			name           string
			description    []byte
			length, wanted uint32
		}{
			{"of the packet only", b.ethernet(6, 0), 4, 4},
			{"nowhere", b.ethernet(6, 0), 0, 0},
			{"of the interface only", ofInterface, 0, 4},
			{"of both", ofInterface, 2, 2},
		} {
			r := stream.NewReader(bytes.NewReader(bytes.Join([][]byte{b.section(), test.description, packet(test.length)}, nil)))
			r.LeaveOutFCS()
			for p, err := range r.Packets() {
				if err != nil || p.WireLength != 64-test.wanted || len(p.Data) != int(p.WireLength) || p.Direction != stream.Outbound {
					t.Errorf("%v, %s: %+v, %v; wanted %d bytes less", order, test.name, p, err, test.wanted)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

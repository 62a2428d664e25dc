// Package lab has the tools of tests, the demo and the benchmarks: generated captures,
// network namespaces with a veth pair, and a receiver.
package lab

import (
	"encoding/binary"
	"time"

	"pcap-replay/stream"
)

// Start is the time of the first packet of generated captures: 2020-09-13T12:26:40Z.
const Start int64 = 1600000000e9

// MinFrame is the length of the shortest frame that Frame makes: Ethernet, IPv4, UDP and a
// sequence number of four bytes, padded to the minimum of Ethernet.
const MinFrame = 60

// Frame makes a UDP frame of length bytes with correct checksums, from
// 10.H.L.1:10000+flow to 10.0.0.2:20000, with sequence at the start of the payload.
// H and L are the bytes of flow, so that each flow has a host of its own.
func Frame(flow uint16, sequence uint32, length int) []byte {
	length = max(length, MinFrame)
	frame := make([]byte, length)
	copy(frame, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}) // to, from, IPv4
	ip := frame[14:34]
	ip[0], ip[8], ip[9] = 0x45, 64, 17 // version and header length, TTL, UDP
	binary.BigEndian.PutUint16(ip[2:], uint16(length-14))
	binary.BigEndian.PutUint16(ip[4:], uint16(sequence))
	copy(ip[12:], []byte{10, byte(flow >> 8), byte(flow), 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip)))
	udp := frame[34:]
	binary.BigEndian.PutUint16(udp[0:], 10000+flow)
	binary.BigEndian.PutUint16(udp[2:], 20000)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint32(udp[8:], sequence)
	for i := 12; i < len(udp); i++ {
		udp[i] = byte(int(sequence) + i)
	}
	checksum := ^fold(sum(udp) + sum(ip[12:20]) + 17 + uint32(len(udp)))
	if checksum == 0 {
		checksum = 0xffff // 0 means no checksum: RFC 768
	}
	binary.BigEndian.PutUint16(udp[6:], checksum)
	return frame
}

// Sequence returns the sequence number that Frame wrote. ok is false for other frames.
func Sequence(frame []byte) (sequence uint32, ok bool) {
	if len(frame) < 46 || binary.BigEndian.Uint16(frame[36:]) != 20000 {
		return 0, false
	}
	return binary.BigEndian.Uint32(frame[42:]), true
}

// sum adds 16-bit words for the Internet checksum: RFC 1071.
func sum(data []byte) (total uint32) {
	for ; len(data) >= 2; data = data[2:] {
		total += uint32(binary.BigEndian.Uint16(data))
	}
	if len(data) == 1 {
		total += uint32(data[0]) << 8
	}
	return total
}

func fold(total uint32) uint16 {
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// Packets makes count packets of length bytes, numbered from 0. The first one is at start,
// and the others follow with equal gaps.
func Packets(count int, start int64, gap time.Duration, length int) []stream.Packet {
	packets := make([]stream.Packet, count)
	for i := range packets {
		data := Frame(0, uint32(i), length)
		packets[i] = stream.Packet{
			Time: start + int64(i)*int64(gap), Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet,
		}
	}
	return packets
}

// Pcap encodes packets as a pcap file, independently of stream.Writer, with nanoseconds or
// microseconds and in either byte order. The link type is that of the first packet.
func Pcap(packets []stream.Packet, order binary.AppendByteOrder, nanoseconds bool) []byte {
	magic, unit, link := uint32(0xa1b2c3d4), int64(1000), stream.LinkTypeEthernet
	if nanoseconds {
		magic, unit = 0xa1b23c4d, 1
	}
	if len(packets) > 0 {
		link = packets[0].LinkType
	}
	file := order.AppendUint32(nil, magic)
	file = order.AppendUint16(file, 2)
	file = order.AppendUint16(file, 4)
	for _, field := range []uint32{0, 0, stream.MaxCaptureLength, uint32(link)} {
		file = order.AppendUint32(file, field)
	}
	for _, p := range packets {
		for _, field := range []uint32{uint32(p.Time / 1e9), uint32(p.Time % 1e9 / unit), uint32(len(p.Data)), p.WireLength} {
			file = order.AppendUint32(file, field)
		}
		file = append(file, p.Data...)
	}
	return file
}

// Batch is memory for copies of packets, as a Reader has it: one packet behind the other.
type Batch struct {
	packets []stream.Packet
	data    []byte
}

// Copy returns copies of packets that are valid until the next call. It allocates only for
// more or longer packets than before.
func (b *Batch) Copy(packets []stream.Packet) []stream.Packet {
	b.packets, b.data = append(b.packets[:0], packets...), b.data[:0]
	for i := range b.packets {
		start := len(b.data)
		b.data = append(b.data, packets[i].Data...) // earlier packets keep the memory that they have
		b.packets[i].Data = b.data[start:len(b.data):len(b.data)]
	}
	return b.packets
}

package frame

import (
	"encoding/binary"
	"errors"
	"fmt"

	"pcap-replay/stream"
)

// ErrNoSegments means that a frame cannot be cut into segments.
var ErrNoSegments = errors.New("cannot be segmented")

// Offsets and flags of a TCP header: RFC 9293, section 3.1; CWR: RFC 3168.
const (
	flagsOffset = 13
	flagFIN     = 0x01
	flagPSH     = 0x08
	flagCWR     = 0x80
)

// Segmenter cuts TCP frames that are longer than the MTU, as a NIC with TSO does. Captures
// of a host with TSO hold such frames. The zero value is ready to use. It reuses the memory
// of what it returns.
type Segmenter struct {
	buffer  []byte
	packets []stream.Packet
}

// superframe is an Ethernet frame with more TCP data than fits into one frame on the wire.
type superframe struct {
	data               []byte
	network, transport int // offsets of the headers
	payload            int // offset of the data
	isIPv6             bool
}

// Segment cuts the frame into frames for an Ethernet interface with the given MTU. All of
// them have the time of the frame. They are valid until the next call.
//
// As with TSO, sequence numbers and IPv4 identifications count up, FIN and PSH are set only
// on the last segment, CWR only on the first one (RFC 3168), and checksums are computed
// anew.
func (s *Segmenter) Segment(packet *stream.Packet, mtu int) ([]stream.Packet, error) {
	frame, err := parseSuperframe(packet)
	if err != nil {
		return nil, err
	}
	room := MaxLength(packet.Data, mtu) - frame.payload
	if room <= 0 {
		return nil, fmt.Errorf("frame with %d bytes of headers for an MTU of %d %w", frame.payload-frame.network, mtu, ErrNoSegments)
	}
	left := len(frame.data) - frame.payload
	count := max((left+room-1)/room, 1)
	s.reserve(count*frame.payload + left)
	s.packets = s.packets[:0]
	for k := range count {
		start := len(s.buffer)
		s.buffer = append(s.buffer, frame.data[:frame.payload]...)
		s.buffer = append(s.buffer, frame.data[frame.payload+k*room:min(frame.payload+(k+1)*room, len(frame.data))]...)
		segment := s.buffer[start:len(s.buffer):len(s.buffer)]
		frame.finish(segment, k, k*room, k == count-1)
		s.packets = append(s.packets, stream.Packet{
			Time: packet.Time, Data: segment, WireLength: uint32(len(segment)), LinkType: packet.LinkType, Untimed: packet.Untimed, Direction: packet.Direction,
		})
	}
	return s.packets, nil
}

// reserve empties the buffer and makes it large enough, so that later appends do not move
// it.
func (s *Segmenter) reserve(size int) {
	if cap(s.buffer) < size {
		s.buffer = make([]byte, 0, size)
	}
	s.buffer = s.buffer[:0]
}

// parseSuperframe finds the headers of a TCP frame and removes padding.
func parseSuperframe(packet *stream.Packet) (frame superframe, err error) {
	data := packet.Data
	if packet.LinkType != stream.LinkTypeEthernet {
		return frame, fmt.Errorf("frame of link type %s %w", packet.LinkType, ErrNoSegments)
	}
	network, etherType := networkOffset(data)
	frame = superframe{network: network, isIPv6: etherType == EtherTypeIPv6}
	var end int
	switch etherType {
	case EtherTypeIPv4:
		frame.transport, end, err = parseIPv4(data, network)
	case EtherTypeIPv6:
		frame.transport, end, err = parseIPv6(data, network)
	default:
		return frame, fmt.Errorf("frame of type %#04x %w", etherType, ErrNoSegments)
	}
	if err != nil {
		return frame, err
	}
	if end > len(data) {
		return frame, fmt.Errorf("frame of which %d of %d bytes were captured %w", len(data), end, ErrNoSegments)
	}
	frame.data = data[:end]
	if end < frame.transport+minTCP {
		return frame, fmt.Errorf("frame without a whole TCP header %w", ErrNoSegments)
	}
	frame.payload = frame.transport + int(data[frame.transport+12]>>4)*4
	if frame.payload < frame.transport+minTCP || frame.payload > end {
		return frame, fmt.Errorf("frame with a TCP header of %d bytes %w", frame.payload-frame.transport, ErrNoSegments)
	}
	return frame, nil
}

// parseIPv4 returns the offset of the transport header and the end of the packet. A length
// of 0 means that the host left it to its NIC, or that it does not fit into 16 bits.
func parseIPv4(data []byte, network int) (transport, end int, err error) {
	if len(data) < network+MinIPv4Length {
		return 0, 0, fmt.Errorf("frame without a whole IPv4 header %w", ErrNoSegments)
	}
	ip := data[network:]
	length := int(binary.BigEndian.Uint16(ip[2:]))
	if length == 0 {
		length = len(ip)
	}
	header := int(ip[0]&0x0f) * 4
	switch {
	case ip[0]>>4 != 4 || header < MinIPv4Length || header > length:
		return 0, 0, fmt.Errorf("frame with a broken IPv4 header %w", ErrNoSegments)
	case binary.BigEndian.Uint16(ip[6:])&(moreFragment|fragmentMask) != 0:
		return 0, 0, fmt.Errorf("IPv4 fragment %w", ErrNoSegments)
	case ip[9] != ProtocolTCP:
		return 0, 0, fmt.Errorf("frame of IP protocol %d, not TCP, %w", ip[9], ErrNoSegments)
	}
	return network + header, network + length, nil
}

// parseIPv6 is parseIPv4 for IPv6. It skips the extension headers that each segment may
// repeat.
func parseIPv6(data []byte, network int) (transport, end int, err error) {
	if len(data) < network+IPv6Length {
		return 0, 0, fmt.Errorf("frame without a whole IPv6 header %w", ErrNoSegments)
	}
	length := int(binary.BigEndian.Uint16(data[network+4:]))
	end = network + IPv6Length + length
	if length == 0 {
		end = len(data)
	}
	extensions := Extensions{Protocol: data[network+6], Rest: data[network+IPv6Length:]}
	for extensions.Next() {
		const jumboPayload = 0xc2 // RFC 2675, section 2
		switch {
		case extensions.Type == ProtocolFragment:
			return 0, 0, fmt.Errorf("IPv6 fragment %w", ErrNoSegments)
		case extensions.Type == ProtocolAuthentication: // its checksum covers what is to be cut
			return 0, 0, fmt.Errorf("frame with an authentication header %w", ErrNoSegments)
		case extensions.Type == ProtocolHopByHop && extensions.Header[2] == jumboPayload:
			return 0, 0, fmt.Errorf("IPv6 jumbogram %w", ErrNoSegments)
		}
	}
	if extensions.IsCut {
		return 0, 0, fmt.Errorf("frame without its whole IPv6 extension headers %w", ErrNoSegments)
	}
	if extensions.Protocol != ProtocolTCP {
		return 0, 0, fmt.Errorf("frame of IP protocol %d, not TCP, %w", extensions.Protocol, ErrNoSegments)
	}
	return len(data) - len(extensions.Rest), end, nil
}

// finish completes the headers of segment number k, whose data begins at this offset in the
// data of the frame.
func (f *superframe) finish(segment []byte, k, offset int, last bool) {
	ip, tcp := segment[f.network:], segment[f.transport:]
	if f.isIPv6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-IPv6Length))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(k))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^foldSum(sumWords(0, ip[:f.transport-f.network])))
	}
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+uint32(offset))
	if !last {
		tcp[flagsOffset] &^= flagFIN | flagPSH
	}
	if k > 0 {
		tcp[flagsOffset] &^= flagCWR
	}
	binary.BigEndian.PutUint16(tcp[16:], 0)
	addresses := ip[12:20]
	if f.isIPv6 {
		addresses = ip[8:40]
	}
	pseudoHeader := sumWords(ProtocolTCP+uint64(len(tcp)), addresses)
	binary.BigEndian.PutUint16(tcp[16:], ^foldSum(sumWords(pseudoHeader, tcp)))
}

package compare

import (
	"encoding/binary"
	"hash/maphash"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// packet is what is kept of a packet.
type packet struct {
	keys [3]uint64 // by keyKind

	time        int64 // nanoseconds since the Unix epoch
	partner     int64 // number of the packet on the other side, or nobody
	partnerTime int64
	tags        uint64 // the control information of up to four VLAN tags

	addresses [32]byte // of IP
	ports     uint32
	checksums [2]uint16 // of the IP header and of TCP, UDP or ICMP
	addressed uint32    // a hash of the MAC addresses
	length    uint32    // on the wire
	captured  uint32
	next      [3]uint32 // in the chain of the same key, by keyKind

	etherType          uint16
	ttl, tos, protocol uint8
	tagCount           uint8
	network            uint16 // where the network layer begins in the frame
	flags              flags
}

// keyKind is the kind of a key: what two packets with the same key have in common.
type keyKind int

const (
	// exactKey is of the whole frame.
	exactKey keyKind = iota
	// rewrittenKey leaves out MAC and IP addresses, ports, TTL, DSCP and checksums.
	rewrittenKey
	// headerKey leaves out MAC addresses, TTL, DSCP, the payload and checksums, except that of
	// UDP. 0: none.
	headerKey
)

type flags uint16

const (
	untimed flags = 1 << iota
	partnerUntimed
	cut       // shorter in the capture than on the wire
	suspected // of being a duplicate, by its time
	waits     // is in the chain of its exact key, for a partner that has not been read yet
	orphan    // is in the chains of its other keys
	duplicate
	ported // has ports
)

const nobody = -1

func (p *packet) is(f flags) bool { return p.flags&f != 0 }

// digester makes packets. Packets of the same seed can be compared.
type digester struct {
	seed maphash.Seed
	// snaplen is the largest number of bytes of a frame that both captures have.
	snaplen int
	// addressless leaves out the MAC addresses, because only one side has them.
	addressless bool

	masked [maxHeaders]byte
}

// maxHeaders is the size of the longest IPv4 or IPv6 header and TCP header.
const maxHeaders = 60 + 60

// Offsets in headers: RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 792, RFC 4443.
const (
	ipv4TOS, ipv4TTL, ipv4Checksum, ipv4Source = 1, 8, 10, 12
	ipv6HopLimit, ipv6Source                   = 7, 8
	tcpChecksum, udpChecksum, icmpChecksum     = 16, 6, 2
	icmpLength                                 = 8 // the part that echo has
)

func newSeed() maphash.Seed { return maphash.MakeSeed() }

// digest fills in the fields of a packet, except those of its partner.
func (d *digester) digest(src *stream.Packet, p *packet) {
	*p = packet{time: src.Time, partner: nobody, length: src.WireLength, captured: uint32(len(src.Data))}
	if src.Untimed {
		p.flags |= untimed
	}
	layers := frame.Split(src)
	p.etherType, p.network = layers.EtherType, uint16(layers.Offset)
	p.setTags(layers.Tags)
	if layers.Addresses != nil && !d.addressless {
		p.addressed = uint32(d.hash(layers.Addresses)) | 1
	}
	network := layers.Network[:min(len(layers.Network), max(d.snaplen-layers.Offset, 0))]
	if len(layers.Network) < layers.Whole {
		p.flags |= cut
	}
	if layers.Transport == 0 || layers.Payload > len(network) {
		p.keys[rewrittenKey] = frame.Mix(d.hash(network) ^ uint64(layers.EtherType))
	} else {
		d.digestIP(p, &layers, network)
	}
	p.keys[exactKey] = frame.Mix(p.keys[rewrittenKey] ^ p.fields() ^ frame.Mix(d.hash(p.addresses[:])))
}

// digestIP fills in the fields and keys of an IP packet.
func (d *digester) digestIP(p *packet, layers *frame.Layers, network []byte) {
	headers := d.masked[:copy(d.masked[:], network[:layers.Payload])]
	p.protocol = layers.Protocol
	if network[0]>>4 == 4 {
		p.tos, p.ttl = headers[ipv4TOS], headers[ipv4TTL]
		p.checksums[0] = binary.BigEndian.Uint16(headers[ipv4Checksum:])
		copy(p.addresses[:8], headers[ipv4Source:])
		headers[ipv4TOS], headers[ipv4TTL] = 0, 0
		clear(headers[ipv4Checksum:][:2])
		clear(headers[ipv4Source:][:8])
	} else {
		p.tos, p.ttl = headers[0]<<4|headers[1]>>4, headers[ipv6HopLimit]
		copy(p.addresses[:], headers[ipv6Source:])
		headers[0], headers[1], headers[ipv6HopLimit] = headers[0]&0xf0, headers[1]&0x0f, 0
		clear(headers[ipv6Source:][:32])
	}
	transport, payload := headers[layers.Transport:], network[layers.Payload:]
	checksumAt := -1
	switch {
	case len(transport) == 0: // no ports, or an unknown protocol
		if (p.protocol == frame.ProtocolICMP || p.protocol == frame.ProtocolICMPv6) && len(payload) >= icmpLength && !isLaterFragment(network) {
			transport = headers[:len(headers)+copy(d.masked[len(headers):], payload[:icmpLength])][len(headers):]
			headers, payload = headers[:len(headers)+len(transport)], payload[len(transport):]
			checksumAt = icmpChecksum
		}
	case p.protocol == frame.ProtocolTCP:
		checksumAt = tcpChecksum
	case p.protocol == frame.ProtocolUDP:
		checksumAt = udpChecksum
	}
	if checksumAt >= 0 {
		p.checksums[1] = binary.BigEndian.Uint16(transport[checksumAt:])
		clear(transport[checksumAt:][:2])
	}
	if len(transport) > 0 && checksumAt != icmpChecksum {
		p.flags |= ported
		p.ports = binary.BigEndian.Uint32(transport)
		clear(transport[:4])
	}
	structure := frame.Mix(d.hash(headers) ^ uint64(layers.EtherType))
	p.keys[rewrittenKey] = frame.Mix(structure + d.hash(payload))
	identity := uint64(p.ports)
	if p.protocol == frame.ProtocolUDP { // nothing else may distinguish the packets of a flow
		identity |= uint64(p.checksums[1]) << 32
	}
	p.keys[headerKey] = frame.Mix(structure^frame.Mix(d.hash(p.addresses[:]))+identity) | 1
}

// isLaterFragment reports whether a packet is a fragment without a transport header.
func isLaterFragment(network []byte) bool {
	const fragmentAt, fragmentMask = 6, 0x1fff // RFC 791
	return network[0]>>4 == 4 && binary.BigEndian.Uint16(network[fragmentAt:])&fragmentMask != 0
}

func (d *digester) hash(data []byte) uint64 { return maphash.Bytes(d.seed, data) }

// fields is a hash of the fields that the rewritten key leaves out, except the addresses.
func (p *packet) fields() uint64 {
	a := uint64(p.ports)<<32 | uint64(p.addressed)
	b := uint64(p.checksums[0])<<48 | uint64(p.checksums[1])<<32 | uint64(p.ttl)<<8 | uint64(p.tos)
	return frame.Mix(frame.Mix(a) + b)
}

func (p *packet) setTags(tags []byte) {
	p.tagCount = uint8(min(len(tags)/frame.VLANTagLength, 255))
	for ; len(tags) >= frame.VLANTagLength; tags = tags[frame.VLANTagLength:] {
		p.tags = p.tags<<16 | uint64(binary.BigEndian.Uint16(tags))
	}
}

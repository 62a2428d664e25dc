package tunnel

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// inside is what a tunnel carries: an Ethernet frame, or a packet of another EtherType.
type inside struct {
	data      []byte
	etherType uint16 // etherTypeTEB: an Ethernet frame
}

// framed returns it as an Ethernet frame.
func (in inside) framed() []byte {
	if in.etherType == etherTypeTEB {
		return in.data
	}
	return concat(outerAddresses, word(in.etherType), in.data)
}

var outerAddresses = []byte{2, 0, 0, 0, 0, 0x22, 2, 0, 0, 0, 0, 0x11}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func word(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func random(r *rand.Rand, length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// inIP puts a payload into IPv4 with options, or into IPv6 with extension headers.
func inIP(r *rand.Rand, protocol uint8, payload []byte) inside {
	if r.IntN(2) == 0 {
		header := make([]byte, frame.MinIPv4Length+4*r.IntN(3))
		header[0] = 0x40 | byte(len(header)/4)
		binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(payload)))
		header[8], header[9] = 64, protocol
		copy(header[12:], random(r, 8))
		for i := frame.MinIPv4Length; i < len(header); i++ {
			header[i] = 1 // no operation
		}
		return inside{concat(header, payload), frame.EtherTypeIPv4}
	}
	for range r.IntN(3) {
		extension := random(r, 8*(1+r.IntN(2)))
		extension[0], extension[1] = protocol, byte(len(extension)/8-1)
		protocol, payload = frame.ProtocolDestination, concat(extension, payload)
	}
	if r.IntN(4) == 0 { // an atomic fragment: RFC 6946
		protocol, payload = frame.ProtocolFragment, concat([]byte{protocol, 0, 0, 0, 1, 2, 3, 4}, payload)
	}
	header := make([]byte, frame.IPv6Length)
	header[0], header[6], header[7] = 0x60, protocol, 64
	binary.BigEndian.PutUint16(header[4:], uint16(len(payload)))
	copy(header[8:], random(r, 32))
	return inside{concat(header, payload), frame.EtherTypeIPv6}
}

func inUDP(r *rand.Rand, port uint16, payload []byte) inside {
	return inIP(r, frame.ProtocolUDP, concat(word(uint16(r.Uint32())), word(port), word(uint16(frame.UDPLength+len(payload))), word(0), payload))
}

func inGRE(r *rand.Rand, etherType uint16, isSequenced bool, payload []byte) inside {
	flags, fields := uint16(0), []byte{}
	for _, flag := range []uint16{greChecksum, greKey} {
		if r.IntN(2) == 0 {
			flags |= flag
			fields = append(fields, random(r, 4)...)
		}
	}
	if isSequenced {
		flags |= greSequence
		fields = append(fields, random(r, 4)...)
	}
	return inIP(r, frame.ProtocolGRE, concat(word(flags), word(etherType), fields, payload))
}

// encapsulators put something into a tunnel. They return false if it does not go into such a
// tunnel.
var encapsulators = map[Kind]func(r *rand.Rand, in inside) (inside, bool){
	VLAN: func(r *rand.Rand, in inside) (inside, bool) {
		untagged := in.framed()
		tag := concat(word([]uint16{frame.EtherTypeVLAN, 0x88a8, 0x9100}[r.IntN(3)]), word(uint16(r.Uint32())))
		return inside{concat(untagged[:12], tag, untagged[12:]), etherTypeTEB}, true
	},
	MPLS: func(r *rand.Rand, in inside) (inside, bool) {
		stack := random(r, mplsLength*(1+r.IntN(3)))
		for i := 2; i < len(stack); i += mplsLength {
			stack[i] &^= 1
		}
		stack[len(stack)-2] |= 1
		switch in.etherType {
		case etherTypeTEB:
			control := concat(word(0), random(r, 2))
			if in.data[0]>>4 != 4 && in.data[0]>>4 != 6 && r.IntN(2) == 0 {
				control = nil
			}
			stack = append(stack, control...)
		case frame.EtherTypeIPv4, frame.EtherTypeIPv6:
		default:
			return in, false
		}
		return inside{concat(stack, in.data), frame.EtherTypeMPLS}, true
	},
	PPPoE: func(r *rand.Rand, in inside) (inside, bool) {
		protocol, ok := map[uint16]uint16{frame.EtherTypeIPv4: pppIPv4, frame.EtherTypeIPv6: pppIPv6, frame.EtherTypeMPLS: pppMPLS}[in.etherType]
		return inside{concat([]byte{0x11, 0}, word(uint16(r.Uint32())), word(uint16(2+len(in.data))), word(protocol), in.data), frame.EtherTypePPPoE}, ok
	},
	GRE: func(r *rand.Rand, in inside) (inside, bool) {
		return inGRE(r, in.etherType, r.IntN(2) == 0, in.data), in.etherType != etherTypeTEB && in.etherType != frame.EtherTypePPPoE
	},
	TEB: func(r *rand.Rand, in inside) (inside, bool) {
		return inGRE(r, etherTypeTEB, r.IntN(2) == 0, in.framed()), true
	},
	ERSPAN: func(r *rand.Rand, in inside) (inside, bool) {
		switch r.IntN(3) {
		case 0:
			return inGRE(r, etherTypeERSPAN, false, in.framed()), true
		case 1:
			header := random(r, erspanIILength)
			header[0] = 0x10 | header[0]&0x0f
			return inGRE(r, etherTypeERSPAN, true, concat(header, in.framed())), true
		}
		header, data := random(r, erspanIIILength), in.framed()
		header[0] = 0x20 | header[0]&0x0f
		header[10] &= 0x83
		if in.etherType == frame.EtherTypeIPv4 || in.etherType == frame.EtherTypeIPv6 {
			header[10] |= 2 << 2
			data = in.data
		}
		if header[11]&1 != 0 {
			data = concat(random(r, erspanSubheader), data)
		}
		return inGRE(r, etherTypeERSPANIII, r.IntN(2) == 0, concat(header, data)), true
	},
	VXLAN: func(r *rand.Rand, in inside) (inside, bool) {
		header := concat([]byte{vxlanHasVNI, 0, 0, 0}, random(r, 3), []byte{0})
		switch r.IntN(3) {
		case 0: // group policy
			copy(header, []byte{0x88, byte(r.Uint32()) & 0x48, byte(r.Uint32()), byte(r.Uint32())})
		case 1:
			protocol, data := byte(3), in.framed()
			switch in.etherType {
			case frame.EtherTypeIPv4:
				protocol, data = 1, in.data
			case frame.EtherTypeIPv6:
				protocol, data = 2, in.data
			}
			header[0], header[3] = 0x0c, protocol
			return inUDP(r, portVXLANGPE, concat(header, data)), true
		}
		return inUDP(r, []uint16{portVXLAN, portVXLANOld}[r.IntN(2)], concat(header, in.framed())), true
	},
	GENEVE: func(r *rand.Rand, in inside) (inside, bool) {
		options := random(r, 4*r.IntN(5))
		header := concat([]byte{byte(len(options) / 4), byte(r.Uint32()) & 0x7f}, word(in.etherType), random(r, 4), options)
		return inUDP(r, portGENEVE, concat(header, in.data)), in.etherType != frame.EtherTypePPPoE
	},
	IPIP: func(r *rand.Rand, in inside) (inside, bool) {
		protocol, ok := map[uint16]uint8{frame.EtherTypeIPv4: frame.ProtocolIPv4, frame.EtherTypeIPv6: frame.ProtocolIPv6}[in.etherType]
		return inIP(r, protocol, in.data), ok
	},
	GTPU: func(r *rand.Rand, in inside) (inside, bool) {
		flags, optional := byte(0x30|r.IntN(4)), []byte{}
		if r.IntN(2) == 0 {
			flags |= 4
		}
		if flags&7 != 0 {
			optional = random(r, gtpOptionalLength)
		}
		if flags&4 != 0 {
			for range r.IntN(3) {
				optional[len(optional)-1] = 0x85
				extension := random(r, 4*(1+r.IntN(2)))
				extension[0] = byte(len(extension) / 4)
				optional = append(optional, extension...)
			}
			optional[len(optional)-1] = 0
		}
		header := concat([]byte{flags, 255}, word(uint16(len(optional)+len(in.data))), random(r, 4), optional)
		return inUDP(r, portGTPU, concat(header, in.data)), in.etherType == frame.EtherTypeIPv4 || in.etherType == frame.EtherTypeIPv6
	},
}

// TestDecapsulationIsTheInverse puts packets into up to four random tunnels, one in another,
// and takes them out again.
func TestDecapsulationIsTheInverse(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	seen := [kindCount]int{}
	d := newDecapsulator(allKinds, 0)
	for range 20_000 {
		in := inside{lab.Frame(uint16(r.IntN(100)), r.Uint32(), 60+r.IntN(200)), etherTypeTEB}
		if r.IntN(2) == 0 {
			in = inIP(r, 99, random(r, 40))
		}
		want := in.framed()
		outer, used, canPad := in, []Kind{}, false
		for range 1 + r.IntN(4) {
			kind := Kind(r.IntN(int(kindCount)))
			wrapped, ok := encapsulators[kind](r, outer)
			if !ok {
				continue
			}
			outer, used, canPad = wrapped, append(used, kind), canPad || kind != VLAN && kind != MPLS
		}
		captured := outer.framed()
		if canPad {
			captured = concat(captured, random(r, r.IntN(7)))
		}
		cut := r.IntN(2) * r.IntN(30) // bytes inside that were not captured
		if in.etherType != etherTypeTEB || len(used) == 0 {
			cut = 0
		}
		if padding := len(captured) - len(outer.framed()); cut > 0 {
			captured = captured[:len(captured)-padding-cut]
		}
		whole := len(captured) + cut
		packets := []stream.Packet{{Data: bytes.Clone(captured), WireLength: uint32(whole), LinkType: stream.LinkTypeEthernet}}
		d.Decap(packets)
		got := packets[0]
		if !bytes.Equal(got.Data, want[:len(want)-cut]) || int(got.WireLength) != len(want) || got.LinkType != stream.LinkTypeEthernet {
			t.Fatalf("seed %d: %v, from the inside to the outside:\n%x\nbecomes\n%x (%d bytes on the wire)\nwanted\n%x (without %d bytes)",
				seed, used, captured, got.Data, got.WireLength, want, cut)
		}
		for _, kind := range used {
			seen[kind]++
		}
	}
	for kind, count := range seen {
		if count < 1000 {
			t.Errorf("%v: only %d tunnels", Kind(kind), count)
		}
	}
}

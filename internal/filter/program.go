package filter

import "encoding/binary"

// Program decides whether packets match. It is safe for concurrent use.
type Program struct {
	code    []instruction
	sets    []*addressSet
	literal bool // not optimized
}

// instruction is one instruction of the machine of classic BPF (McCanne and Jacobson, "The
// BSD Packet Filter", 1993), or several frequent ones fused. The machine has an
// accumulator, an index register and some words of memory. A load outside the packet, and a
// division by 0, reject the packet.
type instruction struct {
	do     opcode
	yes    uint32 // target of a jump, as an index into the program
	no     uint32
	k      uint32
	offset uint32 // of the load in a fused instruction
	mask   uint32 // applied by a fused instruction to the loaded value
}

// opcode has the names of bpf(4): a is the accumulator, x the index register, k the
// constant, and b, h and w are 1, 2 and 4 bytes.
type opcode uint8

const (
	retK opcode = iota
	retA
	ldB // a = packet[k]
	ldH
	ldW
	ldIndexB // a = packet[x + k]
	ldIndexH
	ldIndexW
	ldLength // a = length on the wire
	ldK
	ldMemory
	ldxK
	ldxMemory
	ldxLength
	ldxHeader // x = 4 * (packet[k] & 0xf)
	st
	stx
	tax
	txa
	addK
	subK
	mulK
	divK
	modK
	andK
	orK
	xorK
	lshK
	rshK
	addX
	subX
	mulX
	divX
	modX
	andX
	orX
	xorX
	lshX
	rshX
	neg
	ja
	jeqK
	jgtK
	jgeK
	jsetK
	jeqX
	jgtX
	jgeX
	jsetX
	// Fused: a load, a mask and a jump. They are most of a program.
	ldBJeq
	ldHJeq
	ldWJeq
	ldIndexBJeq
	ldIndexHJeq
	ldIndexWJeq
	// a = 1 if protocol k is in the chain of headers of the IPv4 or IPv6 packet
	// at offset, else 0.
	chain4
	chain6
	// a = 1 if the address of offset bytes at packet[k] or packet[x + k] is in the set with
	// number mask, else 0.
	memberOf
	memberOfIndex
)

// memoryWords is the number of words of memory. It exceeds the BPF_MEMWORDS of bytecode,
// because libpcap needs fewer words for nested tunnels.
const memoryWords = 32

// Match reports whether a packet is wanted. data is what was captured of it,
// wireLength its length on the wire in bytes. It allocates nothing.
func (p *Program) Match(data []byte, wireLength uint32) bool {
	var (
		a, x   uint32
		memory [memoryWords]uint32
		ok     = true
		code   = p.code
	)
	for at := uint(0); at < uint(len(code)); {
		i := &code[at]
		at++
		switch i.do {
		case ldHJeq:
			a, ok = half(data, uint64(i.offset))
			if !ok {
				return false
			}
			a &= i.mask
			at = i.next(a == i.k)
		case ldBJeq:
			a, ok = octet(data, uint64(i.offset))
			if !ok {
				return false
			}
			a &= i.mask
			at = i.next(a == i.k)
		case ldWJeq:
			a, ok = word(data, uint64(i.offset))
			if !ok {
				return false
			}
			a &= i.mask
			at = i.next(a == i.k)
		case ldIndexBJeq:
			a, ok = octet(data, uint64(x)+uint64(i.offset))
			if !ok {
				return false
			}
			a &= i.mask
			at = i.next(a == i.k)
		case ldIndexHJeq:
			a, ok = half(data, uint64(x)+uint64(i.offset))
			if !ok {
				return false
			}
			a &= i.mask
			at = i.next(a == i.k)
		case ldIndexWJeq:
			a, ok = word(data, uint64(x)+uint64(i.offset))
			if !ok {
				return false
			}
			a &= i.mask
			at = i.next(a == i.k)
		case jeqK:
			at = i.next(a == i.k)
		case jeqX:
			at = i.next(a == x)
		case jgtK:
			at = i.next(a > i.k)
		case jgtX:
			at = i.next(a > x)
		case jgeK:
			at = i.next(a >= i.k)
		case jgeX:
			at = i.next(a >= x)
		case jsetK:
			at = i.next(a&i.k != 0)
		case jsetX:
			at = i.next(a&x != 0)
		case ja:
			at = uint(i.yes)
		case retK:
			return i.k != 0
		case retA:
			return a != 0
		case ldB:
			a, ok = octet(data, uint64(i.k))
			if !ok {
				return false
			}
		case ldH:
			a, ok = half(data, uint64(i.k))
			if !ok {
				return false
			}
		case ldW:
			a, ok = word(data, uint64(i.k))
			if !ok {
				return false
			}
		case ldIndexB:
			a, ok = octet(data, uint64(x)+uint64(i.k))
			if !ok {
				return false
			}
		case ldIndexH:
			a, ok = half(data, uint64(x)+uint64(i.k))
			if !ok {
				return false
			}
		case ldIndexW:
			a, ok = word(data, uint64(x)+uint64(i.k))
			if !ok {
				return false
			}
		case ldxHeader:
			x, ok = octet(data, uint64(i.k))
			if !ok {
				return false
			}
			x = x & 0xf << 2
		case ldLength:
			a = wireLength
		case ldK:
			a = i.k
		case ldMemory:
			a = memory[i.k%memoryWords]
		case ldxK:
			x = i.k
		case ldxMemory:
			x = memory[i.k%memoryWords]
		case ldxLength:
			x = wireLength
		case st:
			memory[i.k%memoryWords] = a
		case stx:
			memory[i.k%memoryWords] = x
		case tax:
			x = a
		case txa:
			a = x
		case addK:
			a += i.k
		case subK:
			a -= i.k
		case mulK:
			a *= i.k
		case divK:
			if i.k == 0 {
				return false
			}
			a /= i.k
		case modK:
			if i.k == 0 {
				return false
			}
			a %= i.k
		case andK:
			a &= i.k
		case orK:
			a |= i.k
		case xorK:
			a ^= i.k
		case lshK:
			a <<= i.k
		case rshK:
			a >>= i.k
		case addX:
			a += x
		case subX:
			a -= x
		case mulX:
			a *= x
		case divX:
			if x == 0 {
				return false
			}
			a /= x
		case modX:
			if x == 0 {
				return false
			}
			a %= x
		case andX:
			a &= x
		case orX:
			a |= x
		case xorX:
			a ^= x
		case lshX:
			a <<= x
		case rshX:
			a >>= x
		case neg:
			a = -a
		case memberOf:
			if a, ok = p.sets[i.mask].hasAt(data, uint64(i.k), i.offset); !ok {
				return false
			}
		case memberOfIndex:
			if a, ok = p.sets[i.mask].hasAt(data, uint64(x)+uint64(i.k), i.offset); !ok {
				return false
			}
		case chain4, chain6:
			a, ok = chainHas(data, i)
			if !ok {
				return false
			}
		}
	}
	return false
}

// next is the target of a jump.
func (i *instruction) next(holds bool) uint {
	if holds {
		return uint(i.yes)
	}
	return uint(i.no)
}

// octet, half and word load from a packet. ok is false outside the packet.

func octet(data []byte, offset uint64) (v uint32, ok bool) {
	if offset >= uint64(len(data)) {
		return 0, false
	}
	return uint32(data[offset]), true
}

func half(data []byte, offset uint64) (v uint32, ok bool) {
	if offset+2 > uint64(len(data)) {
		return 0, false
	}
	return uint32(binary.BigEndian.Uint16(data[offset:])), true
}

func word(data []byte, offset uint64) (v uint32, ok bool) {
	if offset+4 > uint64(len(data)) {
		return 0, false
	}
	return binary.BigEndian.Uint32(data[offset:]), true
}

// The headers between an IP header and the protocol: RFC 8200.
const (
	hopByHop           = 0
	routing            = 43
	fragment           = 44
	authentication     = 51
	destinationOptions = 60
)

// maxChain limits a chain that leads back into itself, on which libpcap loops forever.
const maxChain = 1024

// chainHas looks for a protocol after the extension headers. The offset after an
// authentication header does not include the headers before it, as in libpcap. whole is
// false if the packet ends too early.
func chainHas(data []byte, i *instruction) (found uint32, whole bool) {
	load := func(offset uint64) (uint32, bool) {
		if offset += uint64(i.offset); offset >= uint64(len(data)) {
			return 0, false
		}
		return uint32(data[offset]), true
	}
	protocolOffset, extensible := uint64(9), false
	if i.do == chain6 {
		protocolOffset, extensible = 6, true
	}
	protocol, whole := load(protocolOffset)
	first, wholeHeader := load(0)
	if !whole || !wholeHeader && !extensible {
		return 0, false
	}
	at := uint64(first&0xf) * 4
	if extensible {
		at = 40
	}
	for range maxChain {
		if protocol == i.k {
			return 1, true
		}
		extended := extensible && (protocol == hopByHop || protocol == routing || protocol == fragment || protocol == destinationOptions)
		if !extended && protocol != authentication {
			return 0, true
		}
		next, ok := load(at)
		length, alsoOK := load(at + 1)
		if !ok || !alsoOK {
			return 0, false
		}
		if protocol = next; extended {
			at += uint64(length+1) * 8
		} else {
			at = uint64(length+2) * 4
		}
	}
	return 0, true
}

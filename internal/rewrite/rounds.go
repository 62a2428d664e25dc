package rewrite

import "math"

// rounds gives each round other addresses, and no two addresses of a round the same one. A
// network moves as a whole: 256 IPv4 addresses, which keep their last byte, or the IPv6
// addresses with the same first 64 bits, which keep the rest. So a network keeps its hosts
// and its broadcast address.
//
// An IPv4 network moves within its block, which is a private range or the networks with the
// same first byte. In each round it moves on by the golden section of the block, and begins
// anew at the end. Multiples of the golden section keep away from each other as far as
// possible: see section 6.4 of The Art of Computer Programming by Knuth, volume 3. So the
// rounds of a few networks that are close together do not meet for as long as possible.
type rounds struct {
	number uint64 // of the round, from 0, which changes nothing
	moves  [blockCount]move
	move6  uint32 // of the networks with the same first 32 bits
}

// block are adjacent networks of 256 addresses.
type block struct {
	first, size uint32 // numbers of networks
	step        uint32 // 0: they are left alone
}

// move is what a round adds in a block.
type move struct {
	networks uint32
	hosts    uint8 // to the last byte, after as many rounds as there are networks
}

const (
	firstByte = 1 << 16 // networks with the same first byte
	golden    = 0.6180339887498949
	golden6   = 2654435769 // the golden section of 1<<32, which is odd
)

// specialBlocks begin within the networks of a first byte: the shared range (RFC 6598),
// link-local addresses (RFC 3927), two private ranges (RFC 1918), and what follows each. The
// third private range is 10.0.0.0/8.
var specialBlocks = map[uint32][]uint32{100: {64, 128}, 169: {254, 255}, 172: {16, 32}, 192: {168, 169}}

// Blocks that are left alone, by their first networks: addresses of this host and loopback
// (RFC 1122), link-local, and multicast with all above it (RFC 5771, RFC 1112), in which the
// broadcast address is.
const (
	multicastByte = 224

	thisHost  = 0
	loopback  = 127 * firstByte
	linkLocal = 169*firstByte + 254*256
	multicast = multicastByte * firstByte
)

// blockCount is one for each first byte up to multicastByte, and those of specialBlocks.
const blockCount = multicastByte + 1 + 8

// blocks are all blocks in order. firstBlock is the block of the first network with a first
// byte.
var blocks, firstBlock = makeBlocks()

func makeBlocks() (all [blockCount]block, firstOf [257]int) {
	count := 0
	for b := range uint32(multicastByte + 1) {
		firstOf[b] = count
		all[count].first = b * firstByte
		count++
		for _, second := range specialBlocks[b] {
			all[count].first = b*firstByte + second*256
			count++
		}
	}
	for b := multicastByte + 1; b < len(firstOf)-1; b++ {
		firstOf[b] = count - 1
	}
	firstOf[len(firstOf)-1] = count
	for i := range all {
		b := &all[i]
		end := uint32(256 * firstByte)
		if i+1 < count {
			end = all[i+1].first
		}
		b.size = end - b.first
		switch b.first {
		case thisHost, loopback, linkLocal, multicast:
		default:
			b.step = goldenStep(b.size)
		}
	}
	return all, firstOf
}

// goldenStep is the number next to the golden section of a size that has no divisor in
// common with it, so that its multiples reach every network.
func goldenStep(size uint32) uint32 {
	step := uint32(math.Round(float64(size) * golden))
	for divisor(step, size) != 1 {
		step++
	}
	return step
}

func divisor(a, b uint32) uint32 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// set begins a round.
func (r *rounds) set(number uint64) {
	r.number = number
	r.move6 = uint32(number * golden6)
	for i := range blocks {
		if b := &blocks[i]; b.step != 0 {
			turns, rest := number/uint64(b.size), number%uint64(b.size)
			r.moves[i] = move{uint32(rest * uint64(b.step) % uint64(b.size)), uint8(turns)}
		}
	}
}

// address returns the address of this round.
func (r *rounds) address(address uint32) uint32 {
	network, host := address>>8, uint8(address)
	i := firstBlock[address>>24]
	for i+1 < firstBlock[address>>24+1] && blocks[i+1].first <= network {
		i++
	}
	b := &blocks[i]
	if b.step == 0 {
		return address
	}
	network += r.moves[i].networks
	if network >= b.first+b.size {
		network -= b.size
	}
	return network<<8 | uint32(host+r.moves[i].hosts)
}

// address6 is address for IPv6. Addresses that begin with 0, such as that of this host, and
// link-local and multicast addresses are left alone: RFC 4291.
func (r *rounds) address6(address number) number {
	const linkLocal6, multicast6 = 0xfe80 >> 6, 0xff
	first := address.high >> 56
	if first == 0 || first == multicast6 || address.high>>54 == linkLocal6 {
		return address
	}
	network := uint32(address.high) + r.move6
	address.high = address.high&^math.MaxUint32 | uint64(network)
	return address
}

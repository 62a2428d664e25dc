package unxz

import (
	"encoding/binary"
	"io"
)

// filter undoes the conversion that an encoder applied to the data before it compressed it.
// It returns how many bytes it has converted: the last instruction may continue in the next
// bytes. offset is the position of data in the block.
type filter func(data []byte, offset uint32) int

// filterReader applies a filter to what it reads.
type filterReader struct {
	src    io.Reader
	filter filter
	buffer [4096]byte
	given  int // up to this byte, Read has returned the data
	done   int // up to this byte, the data is filtered
	end    int // of the data in the buffer
	offset uint32
	err    error // of src
}

// Read implements io.Reader.
func (f *filterReader) Read(p []byte) (int, error) {
	for f.given == f.done {
		if f.err != nil && f.done == f.end {
			return 0, f.err
		}
		f.refill()
	}
	n := copy(p, f.buffer[f.given:f.done])
	f.given += n
	return n, nil
}

// refill reads and filters more data. Bytes at the end that are too few for an instruction
// stay as they are.
func (f *filterReader) refill() {
	if f.err != nil {
		f.done = f.end
		return
	}
	f.end = copy(f.buffer[:], f.buffer[f.done:f.end])
	var n int
	n, f.err = f.src.Read(f.buffer[f.end:])
	f.end += n
	f.given, f.done = 0, f.filter(f.buffer[:f.end], f.offset)
	f.offset += uint32(f.done)
}

// delta adds to each byte the byte at distance before it.
func delta(distance uint8) filter {
	var history [256]byte
	next := uint8(0) // counts down
	return func(data []byte, _ uint32) int {
		for i := range data {
			data[i] += history[next+distance]
			history[next] = data[i]
			next--
		}
		return len(data)
	}
}

// The filters below turn the absolute addresses of jumps and calls into relative ones.
// The .xz file format, section 5.3.2, refers to the source code of XZ Utils for the details:
// files x86.c, powerpc.c, ia64.c, arm.c, armthumb.c, sparc.c and arm64.c in
// src/liblzma/simple.

func powerPC(data []byte, offset uint32) int {
	i := 0
	for ; i+4 <= len(data); i += 4 {
		if word := binary.BigEndian.Uint32(data[i:]); word&0xfc000003 == 0x48000001 {
			address := word - (offset + uint32(i))
			binary.BigEndian.PutUint32(data[i:], 0x48000001|address&0x03fffffc)
		}
	}
	return i
}

func sparc(data []byte, offset uint32) int {
	i := 0
	for ; i+4 <= len(data); i += 4 {
		if word := binary.BigEndian.Uint32(data[i:]); word>>22 == 0x100 || word>>22 == 0x1ff {
			address := (word<<2 - (offset + uint32(i))) >> 2
			address = 0x40000000 - address&0x400000 | 0x40000000 | address&0x3fffff
			binary.BigEndian.PutUint32(data[i:], address)
		}
	}
	return i
}

func arm(data []byte, offset uint32) int {
	i := 0
	for ; i+4 <= len(data); i += 4 {
		if word := binary.LittleEndian.Uint32(data[i:]); word>>24 == 0xeb {
			address := (word<<2 - (offset + uint32(i) + 8)) >> 2
			binary.LittleEndian.PutUint32(data[i:], 0xeb000000|address&0xffffff)
		}
	}
	return i
}

func armThumb(data []byte, offset uint32) int {
	i := 0
	for ; i+4 <= len(data); i += 2 {
		high, low := uint32(binary.LittleEndian.Uint16(data[i:])), uint32(binary.LittleEndian.Uint16(data[i+2:]))
		if high&0xf800 == 0xf000 && low&0xf800 == 0xf800 {
			address := ((high&0x7ff<<11|low&0x7ff)<<1 - (offset + uint32(i) + 4)) >> 1
			binary.LittleEndian.PutUint16(data[i:], uint16(0xf000|address>>11&0x7ff))
			binary.LittleEndian.PutUint16(data[i+2:], uint16(0xf800|address&0x7ff))
			i += 2
		}
	}
	return i
}

func arm64(data []byte, offset uint32) int {
	i := 0
	for ; i+4 <= len(data); i += 4 {
		word, place := binary.LittleEndian.Uint32(data[i:]), offset+uint32(i)
		switch {
		case word>>26 == 0x25: // BL
			word = 0x94000000 | (word-place>>2)&0x03ffffff
		case word&0x9f000000 == 0x90000000: // ADRP
			page := word>>29&3 | word>>3&0x1ffffc
			if (page+0x20000)&0x1c0000 != 0 {
				continue
			}
			page -= place >> 12
			word = word&0x9000001f | page&3<<29 | page&0x3fffc<<3 | -(page&0x20000)&0xe00000
		}
		binary.LittleEndian.PutUint32(data[i:], word)
	}
	return i
}

// ia64Branches has, for each template of a bundle, the slots that may hold a branch: a bit for
// each of the three slots.
var ia64Branches = [32]uint8{16: 4, 4, 6, 6, 0, 0, 7, 7, 4, 4, 0, 0, 4, 4, 0, 0}

func ia64(data []byte, offset uint32) int {
	i := 0
	for ; i+16 <= len(data); i += 16 {
		for slot := range 3 {
			if ia64Branches[data[i]&0x1f]>>slot&1 == 0 {
				continue
			}
			bit := 5 + 41*slot
			place := data[i+bit/8 : i+bit/8+6]
			var bytes [8]byte
			copy(bytes[:], place)
			all := binary.LittleEndian.Uint64(bytes[:])
			word := all >> (bit % 8)
			if word>>37&0xf != 5 || word>>9&7 != 0 {
				continue
			}
			address := uint32(word>>13&0xfffff|word>>36&1<<20) << 4
			address = (address - (offset + uint32(i))) >> 4
			word = word&^(0x8fffff<<13) | uint64(address&0xfffff)<<13 | uint64(address&0x100000)<<16
			binary.LittleEndian.PutUint64(bytes[:], all&(1<<(bit%8)-1)|word<<(bit%8))
			copy(place, bytes[:])
		}
	}
	return i
}

// x86 looks for bytes 0xe8 and 0xe9 before an address whose highest byte is 0 or 0xff. The bits
// of mask say which of the three bytes before such a byte are 0xe8 or 0xe9, too.
func x86() filter {
	mask := uint32(0)
	isExtended := func(b byte) bool { return b == 0 || b == 0xff }
	return func(data []byte, offset uint32) int {
		highest := [8]int{0, 1, 2, 2, 3, 3, 3, 3}
		last := -1 // where the last such byte is
		i := 0
		for ; i+4 < len(data); i++ {
			if data[i]&0xfe != 0xe8 {
				continue
			}
			if distance := i - last; distance > 3 {
				mask = 0
			} else {
				mask = mask << (distance - 1) & 7
			}
			last = i
			if mask != 0 {
				isAllowed := mask == 1 || mask == 2 || mask == 4
				if !isAllowed || isExtended(data[i+4-highest[mask]]) {
					mask = mask<<1 | 1
					continue
				}
			}
			if !isExtended(data[i+4]) {
				mask = mask<<1 | 1
				continue
			}
			address := binary.LittleEndian.Uint32(data[i+1:])
			for {
				address -= offset + uint32(i) + 5
				shift := 8 * highest[mask]
				if mask == 0 || !isExtended(byte(address>>(24-shift))) {
					break
				}
				address ^= 1<<(32-shift) - 1
			}
			address &= 0x01ffffff
			address |= -(address & 0x01000000)
			binary.LittleEndian.PutUint32(data[i+1:], address)
			i += 4
		}
		if distance := i - last; distance > 3 {
			mask = 0
		} else {
			mask <<= distance - 1
		}
		return i
	}
}

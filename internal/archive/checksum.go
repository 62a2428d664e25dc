package archive

import (
	"hash/crc32"
	"io"
	"math/bits"
)

// The uncompressed tarball is checked in pieces, so that data that is read by an index is
// checked before it is returned. A piece ends at the end of a cell of cellSize bytes, and
// at an access point.
const cellSize = 1 << 20

// cellSums are the CRC-32 of each cell of the uncompressed tarball.
type cellSums struct {
	cells  []uint32
	sum    uint32 // of the current cell so far
	offset int64
}

func (s *cellSums) add(data []byte) {
	for len(data) > 0 {
		part := data[:min(int64(len(data)), cellSize-s.offset%cellSize)]
		s.sum = crc32.Update(s.sum, crc32.IEEETable, part)
		s.offset += int64(len(part))
		data = data[len(part):]
		if s.offset%cellSize == 0 {
			s.end()
		}
	}
}

// end ends the current cell.
func (s *cellSums) end() {
	s.cells = append(s.cells, s.sum)
	s.sum = 0
}

// summingReader adds the data that is read through it to the checksums.
type summingReader struct {
	src  io.Reader
	sums *cellSums
}

func (r *summingReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	r.sums.add(p[:n])
	return n, err
}

// sumBetween returns the CRC-32 of length bytes, given the CRC-32 of the data before them
// and that of both together. A CRC is the remainder of a polynomial over GF(2), so the data
// before counts as if zeros followed it, and can be subtracted.
func sumBetween(before, both uint32, length int64) uint32 {
	return both ^ multiply(zerosFactor(length), before)
}

// multiply multiplies modulo the polynomial. The highest bit is the lowest power.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 != 0 {
			product ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
	return product
}

// zerosFactor is the factor of a remainder when count zero bytes follow: x to the power of
// eight times count.
func zerosFactor(count int64) uint32 {
	power, square := bits.Reverse32(1), bits.Reverse32(1<<8)
	for ; count > 0; count >>= 1 {
		if count&1 != 0 {
			power = multiply(power, square)
		}
		square = multiply(square, square)
	}
	return power
}

package archive

import "bytes"

// A tarball is made of blocks of this many bytes: pax(1), "ustar Interchange
// Format".
const blockSize = 512

// Where the checksum stands in a header. It is the same in every flavour of tar,
// the first one (Version 7) included, which had no magic.
const (
	checksumStart = 148
	checksumEnd   = 156
)

var zeroBlock [blockSize]byte

// IsArchive says whether the first uncompressed bytes of a file are a tarball's,
// told by the checksum of the first header. It wants 512 of them.
func IsArchive(head []byte) bool {
	return len(head) >= blockSize && isHeader(head[:blockSize])
}

// isHeader says whether a block is a header: it holds the sum of its own bytes,
// the checksum itself counted as blanks. Some old tars summed signed bytes.
func isHeader(block []byte) bool {
	wanted, ok := parseOctal(block[checksumStart:checksumEnd])
	if !ok {
		return false
	}
	unsigned, signed := int64(0), int64(0)
	for i, b := range block {
		if i >= checksumStart && i < checksumEnd {
			b = ' '
		}
		unsigned += int64(b)
		signed += int64(int8(b))
	}
	return wanted == unsigned || wanted == signed
}

func isZero(block []byte) bool { return bytes.Equal(block, zeroBlock[:len(block)]) }

// parseOctal reads a number as it stands in a header: octal digits, filled up
// with blanks and zero bytes.
func parseOctal(field []byte) (n int64, ok bool) {
	field = bytes.Trim(field, " \x00")
	for _, digit := range field {
		if digit < '0' || digit > '7' {
			return 0, false
		}
		n = n<<3 | int64(digit-'0')
	}
	return n, len(field) > 0
}

// roundUp gives the block border at or behind offset.
func roundUp(offset int64) int64 { return (offset + blockSize - 1) &^ (blockSize - 1) }

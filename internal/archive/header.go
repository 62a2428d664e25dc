package archive

import "bytes"

// A tarball consists of blocks of this many bytes: pax(1), "ustar Interchange
// Format".
const blockSize = 512

// The position of the checksum in a header. It is the same in every version of tar,
// including the first one (Version 7), which had no magic number.
const (
	checksumStart = 148
	checksumEnd   = 156
)

var zeroBlock [blockSize]byte

// IsArchive reports whether the first uncompressed bytes of a file are those of a tarball.
// It needs 512 bytes, and checks the checksum of the first header.
func IsArchive(head []byte) bool {
	return len(head) >= blockSize && isHeader(head[:blockSize])
}

// isHeader reports whether a block is a header. A header has the sum of its own bytes, in
// which the checksum itself counts as blanks. Some old versions of tar add signed bytes.
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

// parseOctal reads a number of a header: octal digits, padded with blanks and zero bytes.
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

// roundUp returns the first block border at or after offset.
func roundUp(offset int64) int64 { return (offset + blockSize - 1) &^ (blockSize - 1) }

package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
)

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
	unsigned, signed := sums(block)
	return wanted == unsigned || wanted == signed
}

// sums returns the checksums of a header.
func sums(block []byte) (unsigned, signed int64) {
	for i, b := range block {
		if i >= checksumStart && i < checksumEnd {
			b = ' '
		}
		unsigned += int64(b)
		signed += int64(int8(b))
	}
	return unsigned, signed
}

// Other fields of a header: pax(1), "ustar Interchange Format".
const (
	typePlace    = 156
	magicPlace   = 257
	devicesStart = 329 // the two numbers of a device
	devicesMid   = 337
	devicesEnd   = 345
)

// typeSolarisHeader is the type of an extended header of Solaris: 'x' of pax(1) before it was
// standardized.
const typeSolarisHeader = 'X'

// amendHeader changes a header so that archive/tar reads it as tar(1) does: an extended header
// of Solaris is one of pax(1), and device numbers count only for devices.
func amendHeader(block []byte) {
	if len(block) < blockSize || !isHeader(block) {
		return
	}
	kind := &block[typePlace]
	isDevice := *kind == tar.TypeChar || *kind == tar.TypeBlock
	switch {
	case *kind == typeSolarisHeader:
		*kind = tar.TypeXHeader
	case !isDevice && string(block[magicPlace:magicPlace+5]) == "ustar" &&
		!(isNumber(block[devicesStart:devicesMid]) && isNumber(block[devicesMid:devicesEnd])):
		clear(block[devicesStart:devicesEnd])
	default:
		return
	}
	sum, _ := sums(block)
	copy(block[checksumStart:checksumEnd], fmt.Sprintf("%06o\x00 ", sum))
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

// isNumber reports whether a field has a number or is empty.
func isNumber(field []byte) bool {
	_, ok := parseOctal(field)
	return ok || len(bytes.Trim(field, " \x00")) == 0
}

// roundUp returns the first block border at or after offset.
func roundUp(offset int64) int64 { return (offset + blockSize - 1) &^ (blockSize - 1) }

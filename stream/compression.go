package stream

import (
	"bytes"

	"pcap-replay/internal/unframe"
)

// Compression is the compression of a capture.
type Compression uint8

// The compressions that can be read. Uncompressed, Gzip, LZ4 and Zstd can also be
// written.
const (
	Uncompressed Compression = iota
	Gzip
	LZ4
	Zstd
	XZ
	Bzip2
)

// String returns the name that the tools print and that their -z flag takes.
func (c Compression) String() string {
	switch c {
	case Gzip:
		return "gzip"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	case XZ:
		return "xz"
	case Bzip2:
		return "bzip2"
	}
	return "none"
}

// compressionMagicLength is the number of bytes that DetectCompression needs.
const compressionMagicLength = 10

// DetectCompression returns the compression of a file that begins with head, which
// should hold 10 bytes or more. It knows gzip (RFC 1952), zstd (RFC 8878), the LZ4
// frame format, the .xz file format, and bzip2 by its header and the magic of its
// first block. Everything else is [Uncompressed].
func DetectCompression(head []byte) Compression {
	switch {
	case len(head) >= 4 && string(head[:3]) == "\x1f\x8b\x08" && head[3]&0xe0 == 0: // deflate; reserved flags are 0
		return Gzip
	case bytes.HasPrefix(head, []byte(unframe.LZ4)), bytes.HasPrefix(head, []byte(unframe.LegacyLZ4)):
		return LZ4
	case bytes.HasPrefix(head, []byte(unframe.Zstd)):
		return Zstd
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return XZ
	case len(head) >= 10 && string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9' &&
		(string(head[4:10]) == "1AY&SY" || string(head[4:10]) == "\x17rE8P\x90"): // a block, or the end of an empty file
		return Bzip2
	}
	return Uncompressed
}

// isSkippableFrame reports whether head begins a frame of LZ4 or zstd that holds no data.
func isSkippableFrame(head []byte) bool {
	return len(head) >= 8 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18"
}

// isFile reports whether head begins a capture or a compressed file.
func isFile(head []byte) bool {
	return isFileMagic(head) || DetectCompression(head) != Uncompressed || isSkippableFrame(head)
}

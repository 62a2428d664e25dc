package stream

// Compression is what a capture is wrapped in.
type Compression uint8

// The compressions that are read. Gzip, LZ4 and Zstd are written, too.
const (
	Uncompressed Compression = iota
	Gzip
	LZ4
	Zstd
	XZ
	Bzip2
)

// String gives the name used in records and by the -z flag.
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

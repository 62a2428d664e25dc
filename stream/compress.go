package stream

import "io"

// Compress gives what wraps all that is written to it in Gzip, LZ4 or Zstd, or
// leaves it Uncompressed, and hands it to dst. Close ends the compressed data and
// does not close dst.
func Compress(dst io.Writer, compression Compression) (io.WriteCloser, error) {
	c, err := newCompressor(dst, compression)
	if c == nil && err == nil {
		return uncompressed{dst}, nil
	}
	return c, err
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

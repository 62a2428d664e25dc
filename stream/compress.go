package stream

import "io"

// Compress returns a writer that compresses to dst with [Gzip], [LZ4] or [Zstd], or
// copies to dst if compression is [Uncompressed]. Close ends the compressed data
// and does not close dst. Other compressions are an error.
func Compress(dst io.Writer, compression Compression) (io.WriteCloser, error) {
	c, err := newCompressor(dst, compression)
	if c == nil && err == nil {
		return uncompressed{dst}, nil
	}
	return c, err
}

type uncompressed struct{ io.Writer }

func (uncompressed) Close() error { return nil }

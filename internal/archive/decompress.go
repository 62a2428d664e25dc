package archive

import (
	"bufio"
	"errors"
	"io"
	"runtime"

	"pcap-replay/internal/bunzip2"
	"pcap-replay/internal/gunzip"
	"pcap-replay/stream"
)

// onBlock is called before each block, with its offset in bytes of the uncompressed data
// and in bits of the compressed data, and with the window: the data before the block that
// decompression needs. The window is valid during the call.
type onBlock func(offset, bit int64, window []byte)

// decompress recognizes the compression of src by its magic number and returns the
// uncompressed data, with the errors of package stream. Gzip and bzip2 have their own
// decompressors here, which report where blocks begin. That of bzip2 also uses all cores.
// Package stream does the rest.
func decompress(src io.Reader, onBlock onBlock) (io.ReadCloser, stream.Compression, error) {
	head := bufio.NewReaderSize(src, 16) // large reads pass it by
	magic, _ := head.Peek(10)
	switch compression := stream.DetectCompression(magic); compression {
	case stream.Gzip:
		reader := gunzip.NewReader(&errorMarker{head})
		if onBlock != nil {
			reader.OnBlock = func(p *gunzip.Point) { onBlock(p.Offset, p.Bit, p.Window) }
		}
		return &plainReader{io.NopCloser(reader), compression}, compression, nil
	case stream.Bzip2:
		reader := bunzip2.NewParallelReader(&errorMarker{head}, runtime.GOMAXPROCS(0))
		if onBlock != nil {
			reader.OnBlock = func(offset, bit int64) { onBlock(offset, bit, nil) }
		}
		return &plainReader{reader, compression}, compression, nil
	}
	return stream.Decompress(head)
}

// plainReader replaces the errors of a decompressor by those of package stream.
type plainReader struct {
	io.ReadCloser
	compression stream.Compression
}

func (r *plainReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	var read readError
	var behindGzip *gunzip.TrailingError
	var behindBzip2 *bunzip2.TrailingError
	switch {
	case err == nil, err == io.EOF:
	case errors.As(err, &read):
		err = read.error
	case errors.As(err, &behindGzip):
		err = &stream.TrailingError{Compression: r.compression, Head: behindGzip.Head}
	case errors.As(err, &behindBzip2):
		err = &stream.TrailingError{Compression: r.compression, Head: behindBzip2.Head}
	default:
		err = &stream.DecompressionError{Compression: r.compression, Err: err}
	}
	return n, err
}

// errorMarker marks the errors of a source, to distinguish them from those of the data.
type errorMarker struct{ src io.Reader }

type readError struct{ error }

func (m *errorMarker) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}

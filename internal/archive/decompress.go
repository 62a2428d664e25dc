package archive

import (
	"bufio"
	"errors"
	"io"
	"runtime"

	"pcap-replay/internal/gunzip"
	"pcap-replay/stream"
)

// onBlock is called before each block: with its place in bytes of the uncompressed
// data and in bits of the compressed data, and with what decompression from there on
// wants to know of what stands before. It is valid during the call.
type onBlock func(offset, bit int64, window []byte)

// decompress tells the compression of src by its magic and gives the plain bytes,
// with the errors of package stream. Gzip and bzip2 are read in our own way, which
// says where blocks begin, and uses all cores for bzip2; the rest is what package
// stream does.
func decompress(src io.Reader, onBlock onBlock) (io.ReadCloser, stream.Compression, error) {
	head := bufio.NewReaderSize(src, 16) // large reads pass it by
	magic, _ := head.Peek(10)
	switch compression := stream.DetectCompression(magic); compression {
	case stream.Gzip:
		source := &errorKeeper{src: head}
		reader := gunzip.NewReader(source)
		if onBlock != nil {
			reader.OnBlock = func(p *gunzip.Point) { onBlock(p.Offset, p.Bit, p.Window) }
		}
		return &gzipReader{reader, source}, compression, nil
	case stream.Bzip2:
		return newBzip2Reader(head, 0, runtime.GOMAXPROCS(0), onBlock), compression, nil
	}
	return stream.Decompress(head)
}

// gzipReader is a gunzip.Reader with the errors of package stream.
type gzipReader struct {
	*gunzip.Reader
	source *errorKeeper
}

func (r *gzipReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	var trailing *gunzip.TrailingError
	switch {
	case err == nil, err == io.EOF, err == r.source.err:
	case errors.As(err, &trailing):
		err = &stream.TrailingError{Compression: stream.Gzip, Head: trailing.Head}
	default:
		err = &stream.DecompressionError{Compression: stream.Gzip, Err: err}
	}
	return n, err
}

func (r *gzipReader) Close() error { return nil }

// errorKeeper remembers the error of a source, to tell it from one of the data.
type errorKeeper struct {
	src io.Reader
	err error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.src.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

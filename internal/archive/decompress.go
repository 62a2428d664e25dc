package archive

import (
	"bufio"
	"errors"
	"io"

	"pcap-replay/internal/gunzip"
	"pcap-replay/stream"
)

// decompress tells the compression of src by its magic and gives the plain bytes,
// with the errors of package stream. Gzip is read in our own way, which says where
// its blocks begin; the rest is what package stream does.
func decompress(src io.Reader, onBlock func(*gunzip.Point)) (io.ReadCloser, stream.Compression, error) {
	head := bufio.NewReaderSize(src, 16) // large reads pass it by
	magic, _ := head.Peek(10)
	if stream.DetectCompression(magic) != stream.Gzip {
		return stream.Decompress(head)
	}
	source := &errorKeeper{src: head}
	reader := gunzip.NewReader(source)
	reader.OnBlock = onBlock
	return &gzipReader{reader, source}, stream.Gzip, nil
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

package stream

import "io"

// Decompress tells the compression of src by its magic and gives the plain bytes
// and the compression found. Plain input is passed through. The caller closes the
// result, which does not close src.
func Decompress(src io.Reader) (io.ReadCloser, Compression, error) { return nil, 0, nil }

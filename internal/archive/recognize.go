package archive

import (
	"errors"
	"io"
	"os"

	"pcap-replay/stream"
)

// IsFile reports whether a file is a tarball, compressed or not.
func IsFile(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return IsIn(file)
}

// IsIn reads the head of a stream and reports whether it is that of a tarball, compressed or
// not.
func IsIn(src io.Reader) bool {
	plain, _, err := stream.Decompress(src)
	if err != nil {
		return false
	}
	defer plain.Close()
	head := make([]byte, blockSize)
	n, _ := io.ReadFull(plain, head)
	return IsArchive(head[:n])
}

// HoldsCaptures reports whether a file would be read as a capture or as a tarball.
func HoldsCaptures(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	reader := stream.NewReader(file)
	defer reader.Close()
	_, err = reader.Read(make([]stream.Packet, 1))
	return reader.Sections() > 0 || err != io.EOF && !errors.Is(err, stream.ErrNotCapture) || IsFile(path)
}

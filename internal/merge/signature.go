package merge

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"

	"pcap-replay/stream"
)

// signatureSize is the number of bytes at the beginning of a file that are compared. They
// include the headers that dumpcap writes for several interfaces, and the time, the lengths
// and the first bytes of the first packet.
const signatureSize = 2 << 10

// signature is the first bytes of a file. A capture tool only appends to a capture, so if
// the first bytes differ, the file has been overwritten. It is safe for concurrent use.
type signature struct {
	mutex sync.Mutex
	bytes []byte
}

// known returns the bytes. Only append changes them.
func (s *signature) known() []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.bytes
}

// isOf reports whether a file still begins with these bytes, and adds bytes that the file
// has beyond them.
func (s *signature) isOf(file io.ReaderAt) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var now [signatureSize]byte
	n, _ := file.ReadAt(now[:], 0)
	if n < len(s.bytes) || !bytes.Equal(now[:len(s.bytes)], s.bytes) {
		return false
	}
	s.bytes = append(s.bytes, now[len(s.bytes):n]...)
	return true
}

// covers reports whether data that was read at an offset agrees with the first bytes, and
// adds bytes that the data has beyond them.
func (s *signature) covers(data []byte, offset int64) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	known := int64(len(s.bytes))
	if offset >= signatureSize || offset > known {
		return true
	}
	data = data[:min(int64(len(data)), signatureSize-offset)]
	common := min(known-offset, int64(len(data)))
	if !bytes.Equal(data[:common], s.bytes[offset:offset+common]) {
		return false
	}
	s.bytes = append(s.bytes, data[common:]...)
	return true
}

// content returns the first bytes of the capture, decompressed. They are fewer if the file
// does not have more yet.
func (s *signature) content(file io.ReaderAt, size int64) (content []byte, compression stream.Compression) {
	content = s.known()
	if compression = stream.DetectCompression(content); compression == stream.Uncompressed {
		return content, compression
	}
	plain, _, err := stream.Decompress(io.NewSectionReader(file, 0, size))
	if err != nil {
		return nil, compression
	}
	defer plain.Close()
	content = make([]byte, signatureSize)
	n, _ := io.ReadFull(plain, content)
	return content[:n], compression
}

// haveSamePacket reports whether two captures begin with the same headers and the same
// packet, as far as both have them.
func haveSamePacket(a, b []byte) bool {
	common := min(len(a), len(b))
	return bytes.Equal(a[:common], b[:common]) && holdsPacket(a[:common])
}

const (
	pcapHeaders = 24 + 16 // of the file and of a record: pcap-savefile(5)
	// packetBlockHeader is the size of what precedes the data in an enhanced packet block
	// of pcapng, including the time.
	packetBlockHeader = 28
	sectionBlock      = 0x0a0d0d0a
)

// holdsPacket reports whether the beginning of a capture includes the header of a packet,
// which has the time. Without it, all captures of an interface begin with the same bytes.
func holdsPacket(head []byte) bool {
	if len(head) < 12 || binary.LittleEndian.Uint32(head) != sectionBlock {
		return len(head) >= pcapHeaders
	}
	var order binary.ByteOrder = binary.LittleEndian
	if binary.BigEndian.Uint32(head[8:]) == 0x1a2b3c4d { // the byte-order magic
		order = binary.BigEndian
	}
	for len(head) >= packetBlockHeader {
		switch kind, length := order.Uint32(head), order.Uint32(head[4:]); {
		case kind == 2 || kind == 3 || kind == 6: // old, simple and enhanced packet block
			return true
		case length < 12 || uint64(length) > uint64(len(head)):
			return false
		default:
			head = head[length:]
		}
	}
	return false
}

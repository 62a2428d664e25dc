//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"pcap-replay/stream"
)

// digest says how many packets and bytes a stream holds, with a hash of their times,
// lengths and data in order. It is the same for the same packets in any format with
// nanoseconds.
func digest(src io.Reader) (string, error) {
	r := stream.NewReader(src)
	defer r.Close()
	hash := sha256.New()
	var header [16]byte
	var packets, size int64
	for packet, err := range r.Packets() {
		if err != nil {
			return "", err
		}
		packets++
		size += int64(len(packet.Data))
		binary.LittleEndian.PutUint64(header[0:], uint64(packet.Time))
		binary.LittleEndian.PutUint32(header[8:], uint32(len(packet.Data)))
		binary.LittleEndian.PutUint32(header[12:], packet.WireLength)
		hash.Write(header[:])
		hash.Write(packet.Data)
	}
	return fmt.Sprintf("%d %d %x", packets, size, hash.Sum(nil)), nil
}

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"

	"pcap-replay/stream"
)

// digest prints how many packets and bytes stdin holds, and a hash of their times,
// lengths and data in order. It is the same for the same packets in any format
// with nanoseconds.
func digest([]string) error {
	r := stream.NewReader(os.Stdin)
	defer r.Close()
	hash := sha256.New()
	var header [16]byte
	var packets, size int64
	for packet, err := range r.Packets() {
		if err != nil {
			return err
		}
		packets++
		size += int64(len(packet.Data))
		binary.LittleEndian.PutUint64(header[0:], uint64(packet.Time))
		binary.LittleEndian.PutUint32(header[8:], uint32(len(packet.Data)))
		binary.LittleEndian.PutUint32(header[12:], packet.WireLength)
		hash.Write(header[:])
		hash.Write(packet.Data)
	}
	_, err := fmt.Printf("%d %d %x\n", packets, size, hash.Sum(nil))
	return err
}

package stream

import (
	"bytes"
	"errors"
	"time"

	"github.com/google/gopacket"
)

// A Reader is a source of packets for gopacket as well.
var (
	_ gopacket.PacketDataSource         = (*Reader)(nil)
	_ gopacket.ZeroCopyPacketDataSource = (*Reader)(nil)
)

// ReadPacketData gives the next packet with data of its own. It passes over
// damage; use [Reader.Read] to learn of it.
func (r *Reader) ReadPacketData() ([]byte, gopacket.CaptureInfo, error) {
	data, info, err := r.ZeroCopyReadPacketData()
	return bytes.Clone(data), info, err
}

// ZeroCopyReadPacketData is ReadPacketData with data that is valid until the next
// call.
func (r *Reader) ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error) {
	for {
		packet, err := r.next()
		if damage := (*Damage)(nil); errors.As(err, &damage) {
			continue
		}
		if err != nil {
			return nil, gopacket.CaptureInfo{}, err
		}
		return packet.Data, gopacket.CaptureInfo{
			Timestamp:     time.Unix(0, packet.Time).UTC(),
			CaptureLength: len(packet.Data),
			Length:        int(packet.WireLength),
		}, nil
	}
}

package stream

import (
	"bytes"
	"errors"

	"github.com/google/gopacket"
)

// A Reader is also a packet source for gopacket.
var (
	_ gopacket.PacketDataSource         = (*Reader)(nil)
	_ gopacket.ZeroCopyPacketDataSource = (*Reader)(nil)
)

// ReadPacketData returns the next packet. The caller owns the data. It skips
// damage without reporting it; [Reader.Read] reports it. The error is [io.EOF]
// at the end of the stream.
func (r *Reader) ReadPacketData() ([]byte, gopacket.CaptureInfo, error) {
	data, info, err := r.ZeroCopyReadPacketData()
	return bytes.Clone(data), info, err
}

// ZeroCopyReadPacketData does the same as [Reader.ReadPacketData], but does not
// copy: the data is valid until the next call of any method that reads.
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
			Timestamp:     packet.Timestamp(),
			CaptureLength: len(packet.Data),
			Length:        int(packet.WireLength),
		}, nil
	}
}

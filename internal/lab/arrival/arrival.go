// Package arrival compares the frames that arrived with those that were sent, as pcap-map
// --against does.
package arrival

import (
	"io"

	"pcap-replay/internal/compare"
	"pcap-replay/stream"
)

// memory is for windows that hold every packet of a test or benchmark, in bytes.
const memory = 256 << 20

// Compare compares frames and their times, at the speed of those that were sent.
func Compare(sent, received []stream.Packet) (*compare.Result, error) {
	return compare.Compare(&reader{packets: sent}, &reader{packets: received}, compare.Options{Speed: 1, Memory: memory})
}

// IsSame says that the same frames arrived in the same order, byte for byte.
func IsSame(r *compare.Result) bool {
	return r.Matched == r.Reference.Packets && r.Matched == r.Capture.Packets && r.Reordered == 0 &&
		r.Framing.Padding+r.Framing.FCS+r.Framing.VLANTag+r.Framing.Snaplen == 0
}

// reader reads packets from memory.
type reader struct{ packets []stream.Packet }

func (r *reader) Section() stream.Section { return stream.Section{Format: stream.FormatPcapNano} }

func (r *reader) Read(dst []stream.Packet) (int, error) {
	n := copy(dst, r.packets)
	if r.packets = r.packets[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

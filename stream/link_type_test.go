package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// Raw IP has the numbers of DLT_RAW in some captures.
func TestRawIPHasOneLinkType(t *testing.T) {
	packets := lab.Packets(3, lab.Start, time.Millisecond, 60)
	for _, number := range []stream.LinkType{12, 14, 101} {
		pcap := lab.Pcap(packets, binary.BigEndian, false)
		binary.BigEndian.PutUint32(pcap[20:], uint32(number))
		var pcapng bytes.Buffer
		relinked := slices.Clone(packets)
		for i := range relinked {
			relinked[i].LinkType = number
		}
		w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
		if err := errors.Join(w.Write(relinked), w.Close()); err != nil {
			t.Fatal(err)
		}
		for format, file := range map[string][]byte{"pcap": pcap, "pcapng": pcapng.Bytes()} {
			r := stream.NewReader(bytes.NewReader(file))
			batch := make([]stream.Packet, 10)
			n, err := r.Read(batch)
			if err != nil || n != 3 || batch[2].LinkType != stream.LinkTypeRaw || !slices.Equal(r.LinkTypes(), []stream.LinkType{stream.LinkTypeRaw}) {
				t.Errorf("%s with link type %d: %d packets of %v, %v", format, number, n, r.LinkTypes(), err)
			}
		}
	}
}

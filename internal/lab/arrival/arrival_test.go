package arrival_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/lab/arrival"
	"pcap-replay/stream"
)

// Every way in which frames can arrive otherwise than they were sent is seen.
func TestSameIsByteForByteAndInOrder(t *testing.T) {
	sent := lab.Packets(100, lab.Start, time.Millisecond, 60)
	for _, test := range []struct {
		name   string
		change func([]stream.Packet) []stream.Packet
		same   bool
	}{
		{"later", func(p []stream.Packet) []stream.Packet { p[50].Time += 5e6; return p }, true},
		{"missing", func(p []stream.Packet) []stream.Packet { return slices.Delete(p, 50, 51) }, false},
		{"twice", func(p []stream.Packet) []stream.Packet { return slices.Insert(p, 50, p[50]) }, false},
		{"swapped", func(p []stream.Packet) []stream.Packet {
			p[50].Data, p[51].Data = p[51].Data, p[50].Data
			return p
		}, false},
		{"one byte", func(p []stream.Packet) []stream.Packet { p[50].Data[45] ^= 1; return p }, false},
		{"padded", func(p []stream.Packet) []stream.Packet {
			p[50].Data = append(p[50].Data, 0)
			p[50].WireLength++
			return p
		}, false},
		{"none", func([]stream.Packet) []stream.Packet { return nil }, false},
	} {
		received := slices.Clone(sent)
		for i := range received {
			received[i].Data = bytes.Clone(sent[i].Data)
		}
		r, err := arrival.Compare(sent, test.change(received))
		if err != nil {
			t.Fatal(err)
		}
		if arrival.IsSame(r) != test.same {
			t.Errorf("%s: same is %v: %+v", test.name, !test.same, r.Comparison)
		}
	}
}

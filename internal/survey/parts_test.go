package survey_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// largePackets are enough packets for three parts.
func largePackets() []stream.Packet {
	random := rand.New(rand.NewPCG(7, 8))
	frame := lab.Frame(0, 0, 65000)
	packets := make([]stream.Packet, 1600)
	for i := range packets {
		length := 60 + random.IntN(len(frame)-60)
		packets[i] = stream.Packet{Time: lab.Start + int64(i)*1e6, Data: frame[:length], WireLength: uint32(length + random.IntN(2)), LinkType: 1}
	}
	return packets
}

// changed is a large capture with modified packets.
func changed(change func(packets []stream.Packet)) []byte {
	packets := largePackets()
	change(packets)
	return pcap(packets)
}

// Reading in parts gives the same record as reading in one piece, or none.
func TestTakePartsAgreesWithTake(t *testing.T) {
	for name, c := range map[string]struct {
		parts bool // the file can be read in parts
		file  func() []byte
	}{
		"plain":      {true, func() []byte { return pcap(largePackets()) }},
		"big-endian": {true, func() []byte { return lab.Pcap(largePackets(), binary.BigEndian, false) }},
		"out of order": {true, func() []byte {
			return changed(func(p []stream.Packet) { p[3].Time, p[4].Time, p[700].Time = p[4].Time, p[3].Time, p[710].Time })
		}},
		"captured over wire": {true, func() []byte { return changed(func(p []stream.Packet) { p[7].WireLength = 1 }) }},
		"leap": {true, func() []byte {
			return changed(func(p []stream.Packet) {
				for i := range p[1000:] {
					p[1000+i].Time += int64(400 * 24 * time.Hour)
				}
			})
		}},
		"leap between parts": {false, func() []byte {
			return changed(func(p []stream.Packet) {
				for i := range p {
					p[i].Time += int64(i) * int64(25*time.Hour)
				}
			})
		}},
		"early end":    {false, func() []byte { return changed(func(p []stream.Packet) { p[len(p)-1].Time = p[0].Time - 5 }) }},
		"truncated":    {false, func() []byte { file := pcap(largePackets()); return file[:len(file)-10] }},
		"two sections": {false, func() []byte { return append(pcap(largePackets()), pcap(atSeconds(9000))...) }},
		"broken record": {false, func() []byte {
			file := pcap(largePackets())
			copy(file[24+16+len(largePackets()[0].Data):], bytes.Repeat([]byte{0xff}, 16))
			return file
		}},
		"broken file header": {false, func() []byte { file := pcap(largePackets()); file[4] = 7; return file }},
		"pcapng":             {false, func() []byte { return simplePackets(300_000) }},
		"small":              {false, func() []byte { return pcap(atSeconds(1, 2, 3)) }},
		"empty":              {false, func() []byte { return nil }},
		"zeros":              {false, func() []byte { return make([]byte, 40<<20) }},
	} {
		t.Run(name, func(t *testing.T) {
			file := c.file()
			want, err := survey.Take(stream.NewReader(bytes.NewReader(file)), nil)
			for _, parts := range []int{1, 2, 3, 64} {
				got, ok := survey.TakeParts(bytes.NewReader(file), int64(len(file)), parts)
				if ok != (c.parts && parts > 1) {
					t.Errorf("in %d parts: %v, wanted %v", parts, ok, c.parts)
				}
				if ok && (err != nil || !reflect.DeepEqual(got, want)) {
					t.Errorf("in %d parts: %+v, wanted %+v, %v", parts, got, want, err)
				}
			}
		})
	}
}

// Packets that carry captures are full of data that looks like records. Reading in parts
// may fail then, but it must never give wrong sums.
func TestTakePartsOfNestedCaptures(t *testing.T) {
	file := changed(func(packets []stream.Packet) {
		for i := range packets {
			packets[i].Data = pcap(lab.Packets(len(packets[i].Data)/90, lab.Start, 1000, 60))
			packets[i].WireLength = uint32(len(packets[i].Data))
		}
	})
	want, err := survey.Take(stream.NewReader(bytes.NewReader(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, parts := range []int{2, 3} {
		if got, ok := survey.TakeParts(bytes.NewReader(file), int64(len(file)), parts); ok && !reflect.DeepEqual(got, want) {
			t.Errorf("in %d parts: %+v, wanted %+v", parts, got, want)
		}
	}
}

package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// Records without captured bytes are followed far, because zeros in a payload look like them.
// A capture that has only such records is read in a time that grows with its length.
func TestReadsManyRecordsWithoutBytes(t *testing.T) {
	const records = 30_000
	for name, test := range map[string]struct {
		wire uint32
		step time.Duration // changes its sign with each record
	}{
		"whole seconds":             {60, 0},
		"no length on the wire":     {0, 0},
		"very long on the wire":     {2 << 20, 0},
		"times far from each other": {60, 3 * 365 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			file := lab.Pcap(nil, binary.LittleEndian, false)
			for i := range uint32(records) {
				seconds := uint32(lab.Start/1e9) + i + i%2*uint32(test.step.Seconds())
				for _, field := range []uint32{seconds, 0, 0, test.wire} {
					file = binary.LittleEndian.AppendUint32(file, field)
				}
			}
			start := time.Now()
			r := stream.NewReader(bytes.NewReader(file))
			defer r.Close()
			packets := 0
			batch := make([]stream.Packet, 64)
			for {
				n, err := r.Read(batch)
				packets += n
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("after %d packets: %v", packets, err)
				}
			}
			if took := time.Since(start); packets != records || took > 3*time.Second {
				t.Errorf("%d packets in %v, wanted %d in less than 3s", packets, took, records)
			}
		})
	}
}

// A capture of the version that BSD/OS once wrote begins a section anywhere in a stream, and a
// section of pcapng is none of its records.
func TestSectionsOfOldVersions(t *testing.T) {
	packets := lab.Packets(5, lab.Start, 1e6, 60)
	var pcapng bytes.Buffer
	w := newWriter(&pcapng, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(packets), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		old := lab.Pcap(packets, order, false)
		order.(binary.ByteOrder).PutUint16(old[4:], 543)
		order.(binary.ByteOrder).PutUint16(old[6:], 0)
		for _, field := range []uint32{uint32(lab.Start/1e9) + 1, 7, 0, 0} { // the last packet has no bytes and no length
			old = order.AppendUint32(old, field)
		}
		bigEndian := blocks{binary.BigEndian}
		last := bytes.Join([][]byte{bigEndian.section(), bigEndian.ethernet(9, 0), bigEndian.packet(0, uint64(lab.Start))}, nil)
		file := bytes.Join([][]byte{lab.Pcap(packets, order, true), old, pcapng.Bytes(), old, old, last}, nil)
		r := stream.NewReader(bytes.NewReader(file))
		count := 0
		for _, err := range r.Packets() {
			if err != nil {
				t.Errorf("%v: after %d packets: %v", order, count, err)
			} else {
				count++
			}
		}
		if wanted := 5 + 6 + 5 + 6 + 6 + 1; count != wanted || r.Sections() != 6 || r.Close() != nil {
			t.Errorf("%v: %d packets of %d sections, wanted %d of 6", order, count, r.Sections(), wanted)
		}
	}
}

// A stream that ends inside a record keeps the records before it, also if they are empty.
func TestCutAfterEmptyRecords(t *testing.T) {
	packets := lab.Packets(5, lab.Start, 1e6, 60)
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, before := range []int{0, 5} {
			for _, empty := range []int{1, 2, 100} {
				file := lab.Pcap(packets[:before], order, false)
				for i := range uint32(empty) {
					for _, field := range []uint32{uint32(lab.Start/1e9) + 1 + i, 7, 0, 0} {
						file = order.AppendUint32(file, field)
					}
				}
				next := lab.Pcap(packets[:1], order, false)[24:]
				for _, kept := range []int{1, 15, 16, 40} {
					r := stream.NewReader(bytes.NewReader(append(bytes.Clone(file), next[:kept]...)))
					count, lost := 0, int64(0)
					for _, err := range r.Packets() {
						var damage *stream.Damage
						switch {
						case err == nil:
							count++
						case errors.As(err, &damage) && damage.Truncated:
							lost += damage.Lost
						default:
							t.Error(err)
						}
					}
					if count != before+empty || lost != int64(kept) || r.Close() != nil {
						t.Errorf("%v, %d bytes of the last record: %d packets and %d bytes lost, wanted %d and %d", order, kept, count, lost, before+empty, kept)
					}
				}
			}
		}
	}
}

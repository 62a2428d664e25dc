package stream_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

func gzipped(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Bytes()
}

// TestBlockReaderNeverReadsIntoABlockTwice reads with blocks that are too small
// and compares the packets once all have been read.
func TestBlockReaderNeverReadsIntoABlockTwice(t *testing.T) {
	var whole []byte
	for i, length := range []int{60, 5000, 300, 100000, 64, 64} {
		section := lab.Pcap(lab.Packets(40, lab.Start, 1000, length), binary.LittleEndian, true)
		if i%2 == 1 {
			section = gzipped(section)
		}
		whole = append(whole, section...)
	}
	for _, size := range []int{1, 5000, 100000, 1 << 20} {
		blocks := 0
		r := stream.NewBlockReader(bytes.NewReader(whole), func(least int) []byte {
			blocks++
			return make([]byte, max(least, size))
		})
		want := stream.NewReader(bytes.NewReader(whole))
		var got []stream.Packet
		batch := make([]stream.Packet, 16)
		for {
			n, err := r.Read(batch)
			got = append(got, batch[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		r.Close()
		i := 0
		for packet, err := range want.Packets() {
			if err != nil {
				t.Fatal(err)
			}
			if i == len(got) || !bytes.Equal(got[i].Data, packet.Data) || got[i].Time != packet.Time {
				t.Fatalf("block size %d: packet %d of %d differs", size, i+1, len(got))
			}
			i++
		}
		if i != len(got) || blocks < 2 {
			t.Errorf("block size %d: %d packets in %d blocks, wanted %d", size, len(got), blocks, i)
		}
	}
}

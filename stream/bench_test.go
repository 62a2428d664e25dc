package stream_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// benchmarkLengths are of frames: small ones show what a packet costs, large ones
// what a byte costs.
var benchmarkLengths = []struct {
	name   string
	length int
}{{"60B", 60}, {"1514B", 1514}}

const benchmarkPackets = 20000

// encoded writes packets in the form that options ask for.
func encoded(b *testing.B, packets []stream.Packet, options stream.WriterOptions) []byte {
	b.Helper()
	var out bytes.Buffer
	w := newWriter(&out, options)
	if err := w.Write(packets); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// reportPackets adds what a packet takes to a benchmark that handles count of them
// in each round.
func reportPackets(b *testing.B, count int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/packet")
}

func BenchmarkReader(b *testing.B) {
	for _, frames := range benchmarkLengths {
		packets := lab.Packets(benchmarkPackets, lab.Start, 1000, frames.length)
		for _, input := range []struct {
			name string
			data []byte
		}{
			{"pcap", lab.Pcap(packets, binary.LittleEndian, true)},
			{"swapped", lab.Pcap(packets, binary.BigEndian, true)},
			{"pcapng", encoded(b, packets, stream.WriterOptions{PcapNG: true})},
			{"lz4", encoded(b, packets, stream.WriterOptions{Compression: stream.LZ4})},
			{"gzip", encoded(b, packets, stream.WriterOptions{Compression: stream.Gzip})},
		} {
			b.Run(input.name+"/"+frames.name, func(b *testing.B) {
				batch := make([]stream.Packet, 256)
				for b.Loop() {
					r := stream.NewReader(bytes.NewReader(input.data))
					count := 0
					for {
						n, err := r.Read(batch)
						count += n
						if err == io.EOF {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
					}
					r.Close()
					if count != benchmarkPackets {
						b.Fatalf("wanted %d packets, got %d", benchmarkPackets, count)
					}
				}
				reportPackets(b, benchmarkPackets)
			})
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	for _, frames := range benchmarkLengths {
		packets := lab.Packets(benchmarkPackets, lab.Start, 1000, frames.length)
		for _, output := range []struct {
			name    string
			options stream.WriterOptions
		}{
			{"pcap", stream.WriterOptions{}},
			{"pcapng", stream.WriterOptions{PcapNG: true}},
			{"lz4", stream.WriterOptions{Compression: stream.LZ4}},
			{"zstd", stream.WriterOptions{Compression: stream.Zstd}},
		} {
			b.Run(output.name+"/"+frames.name, func(b *testing.B) {
				for b.Loop() {
					w := newWriter(io.Discard, output.options)
					if err := w.Write(packets); err != nil {
						b.Fatal(err)
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
				reportPackets(b, benchmarkPackets)
			})
		}
	}
}

package filter

import (
	"testing"

	"pcap-replay/stream"
)

// BenchmarkMatch is the cost of a decision, on a mix of packets of the corpus.
func BenchmarkMatch(b *testing.B) {
	packets := packetsOf(b, stream.LinkTypeEthernet)
	for _, expression := range []string{
		"tcp port 80", "host 10.0.0.1", "ip6 net fe80::/10", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "portrange 1-1024",
		"host 10.0.0.1 and (tcp port 80 or udp port 53) and not arp",
	} {
		b.Run(expression, func(b *testing.B) {
			program, err := compileFor(expression, stream.LinkTypeEthernet)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for i := range packets {
					program.Match(packets[i].Data, packets[i].WireLength)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(packets)), "ns/packet")
		})
	}
}

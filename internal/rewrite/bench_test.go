package rewrite

import (
	"fmt"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// BenchmarkRewriter measures what a packet costs.
func BenchmarkRewriter(b *testing.B) {
	for name, rules := range map[string]map[string][]string{
		"map":       {"map": {"10.0.0.0/8=20.0.0.0/8"}},
		"addresses": {"map": {"10.0.0.0/8=20.0.0.0/8"}, "src-mac": {"02:00:00:00:00:03"}, "dst-mac": {"02:00:00:00:00:04"}},
		"all": {
			"map": {"10.0.0.0/8=20.0.0.0/8"}, "mac": {"02:00:00:00:00:01=02:00:00:00:00:03", "02:00:00:00:00:02=02:00:00:00:00:04"},
			"port": {"20000=443"}, "vlan": {"push:7"},
		},
	} {
		for _, length := range []int{60, 600, 1514} {
			b.Run(fmt.Sprintf("%s/%dB", name, length), func(b *testing.B) {
				r, err := New(rules)
				if err != nil {
					b.Fatal(err)
				}
				const count = 512
				packets := lab.Packets(count, lab.Start, 1000, length)
				batch := make([]stream.Packet, count)
				b.ReportAllocs()
				for b.Loop() {
					copy(batch, packets)
					_ = r.Rewrite(batch, func([]stream.Packet) error { return nil })
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/packet")
			})
		}
	}
}

package rewrite

import (
	"fmt"
	"testing"
	"time"

	"pcap-replay/internal/lab"
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
				var batch lab.Batch
				var spent time.Duration
				b.ReportAllocs()
				for b.Loop() {
					fresh := batch.Copy(packets)
					begin := time.Now()
					r.Rewrite(fresh)
					spent += time.Since(begin)
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*count), "ns/packet")
			})
		}
	}
}

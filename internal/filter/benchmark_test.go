package filter

import (
	"fmt"
	"math/rand/v2"
	"strings"
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

// BenchmarkNetworks is the cost of a decision with a list of networks, and of making it.
func BenchmarkNetworks(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	packets := addressedPackets(random, 1000)
	for _, count := range []int{100, 5000, 40_000} {
		text := strings.Join(networks(random, count, ""), " or ")
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			program, err := compileFor(text, stream.LinkTypeEthernet)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, packet := range packets {
					program.Match(packet, 60)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(packets)), "ns/packet")
		})
		b.Run(fmt.Sprint("compile ", count), func(b *testing.B) {
			for b.Loop() {
				_, _ = compileFor(text, stream.LinkTypeEthernet)
			}
		})
	}
}

// BenchmarkCompile is of long expressions: ten times the terms are to take about ten
// times as long.
func BenchmarkCompile(b *testing.B) {
	hosts := make([]string, 1000)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("host 10.0.%d.%d", i>>8, i&0xff)
	}
	for name, expression := range map[string]string{
		"100 hosts":         strings.Join(hosts[:100], " or "),
		"1000 hosts":        strings.Join(hosts, " or "),
		"100 futile terms":  strings.Repeat("tcp and ", 100) + "ip6 and ip",
		"1000 futile terms": strings.Repeat("tcp and ", 1000) + "ip6 and ip",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = compileFor(expression, stream.LinkTypeEthernet) // the futile ones are refused
			}
		})
	}
}

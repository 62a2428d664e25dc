package tunnel

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// batchPackets is that of package input.
const batchPackets = 512

// samples returns batches of packets in tunnels of all kinds, and of packets in none. The
// headers of all tunnels have the same form, as between two hosts, or they are mixed.
func samples(length int, isMixed bool) map[string][]stream.Packet {
	r := rand.New(rand.NewPCG(1, 1))
	all := map[string][]stream.Packet{"none": nil}
	for i := range uint32(batchPackets) {
		in := inside{lab.Frame(uint16(i), i, length), etherTypeTEB}
		all["none"] = append(all["none"], packetOf(in.data))
		for kind, encapsulate := range encapsulators {
			if !isMixed {
				r = rand.New(rand.NewPCG(1, 1))
			}
			outer, ok := encapsulate(r, in)
			if !ok {
				outer, _ = encapsulate(r, inside{in.data[frame.EthernetLength:], frame.EtherTypeIPv4})
			}
			all[kind.String()] = append(all[kind.String()], packetOf(outer.framed()))
		}
	}
	for _, packets := range all {
		layOut(packets)
	}
	return all
}

// layOut moves the packets to one block, in which a reader would have them.
func layOut(packets []stream.Packet) {
	var block []byte
	for _, packet := range packets {
		block = append(append(block, make([]byte, 16)...), packet.Data...) // behind the header of a record
	}
	for i := range packets {
		length := len(packets[i].Data)
		packets[i].Data, block = block[16:16+length:16+length], block[16+length:]
	}
}

func packetOf(data []byte) stream.Packet {
	return stream.Packet{Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet}
}

func BenchmarkDecap(b *testing.B) {
	for _, length := range []int{100, 700, 1400} {
		for name, packets := range samples(length, false) {
			b.Run(fmt.Sprintf("%s/%d", name, length), func(b *testing.B) {
				d := newDecapsulator(allKinds, 0)
				var batch lab.Batch
				var spent time.Duration
				b.ReportAllocs()
				for b.Loop() {
					fresh := batch.Copy(packets)
					begin := time.Now()
					d.Decap(fresh)
					spent += time.Since(begin)
				}
				b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*len(packets)), "ns/packet")
			})
		}
	}
}

func TestNothingIsAllocatedPerPacket(t *testing.T) {
	for name, packets := range samples(700, true) {
		d := newDecapsulator(allKinds, 0)
		var batch lab.Batch
		if allocations := testing.AllocsPerRun(10, func() { d.Decap(batch.Copy(packets)) }); allocations > 0 {
			t.Errorf("%s: %v allocations for %d packets", name, allocations, len(packets))
		}
	}
}

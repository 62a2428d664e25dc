package duplicates

import (
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

func TestDuplicates(t *testing.T) {
	packet := func(time int64, number int) *stream.Packet {
		return &stream.Packet{Time: time, Data: lab.Frame(0, uint32(number), 60), WireLength: 60, LinkType: stream.LinkTypeEthernet}
	}
	d := New(10, SameBytes)
	longer := packet(105, 1)
	longer.WireLength++
	other := packet(105, 1)
	other.LinkType = stream.LinkTypeRaw
	for i, c := range []struct {
		packet *stream.Packet
		want   bool
	}{
		{packet(100, 1), false},
		{packet(100, 1), true},
		{packet(100, 2), false},
		{longer, false},
		{other, false},
		{packet(110, 1), true},  // just within
		{packet(111, 1), false}, // the one kept was too long ago
		{packet(121, 1), true},
		{packet(105, 3), false}, // late
		{packet(115, 3), true},
		{packet(400, 3), false},
	} {
		if got := d.Has(c.packet); got != c.want {
			t.Errorf("step %d: got %v, wanted %v", i, got, c.want)
		}
	}
	for i := range 100000 {
		d.Has(packet(int64(1000+i), i))
	}
	if len(d.seen) > 20 || d.count > 20 || len(d.order) > 1024 {
		t.Errorf("%d packets remembered in a window of 10", len(d.seen))
	}
	for i := range 5000 {
		if d.Has(packet(300000, i)) {
			t.Fatalf("packet %d is new", i)
		}
	}
	for i := range 5000 {
		if !d.Has(packet(300001, i)) {
			t.Fatalf("packet %d has been there", i)
		}
	}
}

func TestSameIPPackets(t *testing.T) {
	const ethernet, ttl, tagLength = 14, 14 + 8, 4
	base := func(change func(p *stream.Packet)) *stream.Packet {
		data := lab.Frame(7, 1, 100)
		p := stream.Packet{Time: 100, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet}
		change(&p)
		return &p
	}
	at := func(offset int, value byte) func(p *stream.Packet) {
		return func(p *stream.Packet) { p.Data[offset] = value }
	}
	ipv6 := func(change func(p *stream.Packet)) *stream.Packet {
		return base(func(p *stream.Packet) {
			header := make([]byte, 40)
			header[0], header[5], header[6], header[7] = 0x60, 10, 99, 64
			p.Data = append(append(p.Data[:12:12], 0x86, 0xdd), append(header, make([]byte, 10)...)...)
			p.WireLength = uint32(len(p.Data))
			change(p)
		})
	}
	as := func(p *stream.Packet) {}
	for _, c := range []struct {
		name          string
		first, second *stream.Packet
		want          bool
	}{
		{"the same", base(as), base(as), true},
		{"other MAC addresses", base(as), base(at(3, 9)), true},
		{"other TTL and checksum", base(as), base(func(p *stream.Packet) { p.Data[ttl]--; p.Data[ttl+2]++; p.Data[ttl+3] ^= 0x55 }), true},
		{"with VLAN tag", base(as), base(func(p *stream.Packet) {
			p.Data = append(append(append([]byte(nil), p.Data[:12]...), 0x81, 0, 0, 42), p.Data[12:]...)
			p.WireLength += tagLength
		}), true},
		{"padded", base(as), base(func(p *stream.Packet) { p.Data = append(p.Data, 0, 1, 2); p.WireLength += 3 }), true},
		{"RAW", base(as), base(func(p *stream.Packet) {
			p.Data, p.WireLength, p.LinkType = p.Data[ethernet:], p.WireLength-ethernet, stream.LinkTypeRaw
		}), true},
		{"other IP identification", base(as), base(at(ethernet+4, 9)), false},
		{"other TOS", base(as), base(at(ethernet+1, 9)), false},
		{"other address", base(as), base(at(ethernet+13, 9)), false},
		{"other port", base(as), base(at(ethernet+20, 9)), false},
		{"other payload", base(as), base(at(99, 9)), false},
		{"cut", base(as), base(func(p *stream.Packet) { p.Data = p.Data[:80] }), false},
		{"cut, and longer on the wire", base(func(p *stream.Packet) { p.Data[ethernet+3]++; p.Data = p.Data[:80] }), base(func(p *stream.Packet) { p.Data = p.Data[:80] }), false},
		{"IPv6", ipv6(as), ipv6(at(ethernet+7, 63)), true},
		{"IPv6 with another flow label", ipv6(as), ipv6(at(ethernet+3, 1)), false},
		{"ARP", base(at(13, 6)), base(at(13, 6)), true},
		{"ARP with other MAC addresses", base(at(13, 6)), base(func(p *stream.Packet) { p.Data[13], p.Data[3] = 6, 9 }), false},
	} {
		d := New(10, SameIP)
		if d.Has(c.first) {
			t.Fatalf("%s: the first packet is a duplicate", c.name)
		}
		if got := d.Has(c.second); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		c.second.Time += 11
		if d.Has(c.second) {
			t.Errorf("%s: a duplicate after the window", c.name)
		}
	}
}

// Nothing is allocated for a packet that is a duplicate.
func TestDuplicatesAllocateNothing(t *testing.T) {
	packets := lab.Packets(100, lab.Start, 0, 200)
	for _, sameness := range []Sameness{SameBytes, SameIP} {
		d := New(10, sameness)
		for i := range packets {
			d.Has(&packets[i])
		}
		if allocations := testing.AllocsPerRun(10, func() {
			for i := range packets {
				if !d.Has(&packets[i]) {
					t.Fatal("a duplicate is not found")
				}
			}
		}); allocations > 0 {
			t.Errorf("%v allocations", allocations)
		}
	}
}

package merge

import (
	"testing"

	"pcap-replay/stream"
)

func TestDuplicates(t *testing.T) {
	packet := func(time int64, number int) *stream.Packet {
		p := numbered(time, 0, number)
		return &p
	}
	d := NewDuplicates(10)
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

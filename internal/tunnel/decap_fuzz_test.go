package tunnel

import (
	"bytes"
	"math"
	"testing"
	"unsafe"

	"pcap-replay/internal/frame"
	"pcap-replay/stream"
)

// FuzzDecap takes the tunnels off one by one, and then all at once. Both give the same packet.
// It is a part of the outer packet, or has a new link header before such a part. What follows
// the link header is not written to.
func FuzzDecap(f *testing.F) {
	for name, packets := range samples(60, true) {
		for i, packet := range packets[:4] {
			f.Add(uint16(allKinds), uint16(stream.LinkTypeEthernet), uint32(i), packet.Data)
			if name == "ipip" {
				f.Add(uint16(allKinds), uint16(stream.LinkTypeRaw), uint32(0), packet.Data[frame.EthernetLength:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, kinds, link uint16, cut uint32, data []byte) {
		cut = min(cut, math.MaxUint32-uint32(len(data)))
		whole := stream.Packet{Data: data, WireLength: uint32(len(data)) + cut, LinkType: stream.LinkType(link)}
		all := decapped(t, kindSet(kinds), 0, whole)
		single := whole
		for range len(data) + 1 {
			before := single
			single = decapped(t, kindSet(kinds), 1, single)
			if single.LinkType == before.LinkType && bytes.Equal(single.Data, before.Data) && single.WireLength == before.WireLength {
				break
			}
		}
		if single.LinkType != all.LinkType || !bytes.Equal(single.Data, all.Data) || single.WireLength != all.WireLength {
			t.Fatalf("at once:\n%x, %d, %v\none by one:\n%x, %d, %v", all.Data, all.WireLength, all.LinkType, single.Data, single.WireLength, single.LinkType)
		}
	})
}

// decapped returns what is inside a packet, and checks it.
func decapped(t *testing.T, kinds kindSet, depth int, outer stream.Packet) stream.Packet {
	d := newDecapsulator(kinds, depth)
	original := bytes.Clone(outer.Data)
	outer.Data = bytes.Clone(outer.Data)
	batch := []stream.Packet{outer}
	d.Decap(batch)
	inner := batch[0]
	count := d.Record()
	if count.Packets == 0 {
		if unsafe.SliceData(inner.Data) != unsafe.SliceData(outer.Data) || len(inner.Data) != len(outer.Data) || inner.WireLength != outer.WireLength {
			t.Fatal("a packet that stays in its tunnel has changed")
		}
		return inner
	}
	const longestHeader = 20 // LINKTYPE_LINUX_SLL2
	if !isPart(outer.Data, inner.Data) {
		t.Fatalf("%x\nis not in the memory of\n%x", inner.Data, outer.Data)
	}
	if part := inner.Data[min(longestHeader, len(inner.Data)):]; !bytes.Contains(original, part) {
		t.Fatalf("%x\nis no part of\n%x", inner.Data, original)
	}
	if len(inner.Data) > len(outer.Data) || int64(inner.WireLength) < int64(len(inner.Data)) || inner.WireLength > outer.WireLength {
		t.Fatalf("%d of %d bytes becomes %d of %d", len(outer.Data), outer.WireLength, len(inner.Data), inner.WireLength)
	}
	return inner
}

// isPart reports whether a slice is a part of another one in memory.
func isPart(whole, part []byte) bool {
	start, at := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return at >= start && at+uintptr(len(part)) <= start+uintptr(len(whole))
}

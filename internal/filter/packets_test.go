package filter

import (
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

func TestFilterKeepsInOrder(t *testing.T) {
	selected, err := NewPackets("--filter", "link[45] & 1 = 0") // the number of the packet
	if err != nil {
		t.Fatal(err)
	}
	kept, err := selected.Keep(lab.Packets(10, lab.Start, time.Millisecond, 60))
	if err != nil {
		t.Fatal(err)
	}
	for i, packet := range kept {
		if sequence, _ := lab.Sequence(packet.Data); sequence != uint32(2*i) {
			t.Errorf("packet %d is number %d, wanted %d", i, sequence, 2*i)
		}
	}
	if len(kept) != 5 || selected.Rejected() != 5 {
		t.Errorf("%d kept, %d rejected, wanted 5 of each", len(kept), selected.Rejected())
	}
}

func TestFilterAllocatesNothing(t *testing.T) {
	selected, err := NewPackets("--filter", "udp port 20000")
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(100, lab.Start, time.Millisecond, 60)
	for i := range packets[:50] {
		packets[i].LinkType = stream.LinkTypeRaw // and back: compiled once
	}
	if n := testing.AllocsPerRun(10, func() { _, err = selected.Keep(packets) }); n != 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}

func TestNoFilterKeepsAll(t *testing.T) {
	var selected *Packets
	packets := lab.Packets(3, lab.Start, time.Millisecond, 60)
	if kept, err := selected.Keep(packets); len(kept) != 3 || err != nil || selected.Rejected() != 0 {
		t.Errorf("%d kept, %v", len(kept), err)
	}
}

func TestFilterRefusesALinkTypeThatTurnsUp(t *testing.T) {
	selected, err := NewPackets("--filter", "ether host 1:2:3:4:5:6")
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(3, lab.Start, time.Millisecond, 60)
	packets[2].LinkType = stream.LinkTypeRaw
	_, err = selected.Keep(packets)
	const want = `--filter: column 12: "1:2:3:4:5:6": link type RAW has no MAC addresses`
	if err == nil || err.Error() != want {
		t.Errorf("%v, wanted %s", err, want)
	}
}

func TestBytecodeIsForOneLinkType(t *testing.T) {
	selected, err := NewPackets("--filter-file", "2\n0 0 0 0\n6 0 0 262144\n")
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(3, lab.Start, time.Millisecond, 60)
	if kept, err := selected.Keep(packets); len(kept) != 3 || err != nil {
		t.Fatalf("%d kept, %v", len(kept), err)
	}
	packets[1].LinkType = stream.LinkTypeRaw
	if _, err := selected.Keep(packets); err == nil || !strings.Contains(err.Error(), "EN10MB and RAW") {
		t.Errorf("two link types: %v", err)
	}
}

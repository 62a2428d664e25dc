package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

func TestFilterKeepsInOrder(t *testing.T) {
	filter, err := newPacketFilter("--filter", "link[45] & 1 = 0") // the number of the packet
	if err != nil {
		t.Fatal(err)
	}
	kept, err := filter.keep(lab.Packets(10, lab.Start, time.Millisecond, 60))
	if err != nil {
		t.Fatal(err)
	}
	for i, packet := range kept {
		if sequence, _ := lab.Sequence(packet.Data); sequence != uint32(2*i) {
			t.Errorf("packet %d is number %d, wanted %d", i, sequence, 2*i)
		}
	}
	if len(kept) != 5 || filter.rejected() != 5 {
		t.Errorf("%d kept, %d rejected, wanted 5 of each", len(kept), filter.rejected())
	}
}

func TestFilterAllocatesNothing(t *testing.T) {
	filter, err := newPacketFilter("--filter", "udp port 20000")
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(100, lab.Start, time.Millisecond, 60)
	for i := range packets[:50] {
		packets[i].LinkType = stream.LinkTypeRaw // and back: compiled once
	}
	if n := testing.AllocsPerRun(10, func() { _, err = filter.keep(packets) }); n != 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}

func TestNoFilterKeepsAll(t *testing.T) {
	var filter *packetFilter
	packets := lab.Packets(3, lab.Start, time.Millisecond, 60)
	if kept, err := filter.keep(packets); len(kept) != 3 || err != nil || filter.rejected() != 0 {
		t.Errorf("%d kept, %v", len(kept), err)
	}
}

func TestFilterRefusesALinkTypeThatTurnsUp(t *testing.T) {
	filter, err := newPacketFilter("--filter", "ether host 1:2:3:4:5:6")
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(3, lab.Start, time.Millisecond, 60)
	packets[2].LinkType = stream.LinkTypeRaw
	_, err = filter.keep(packets)
	const want = `--filter: column 12: "1:2:3:4:5:6": link type RAW has no MAC addresses`
	if err == nil || err.Error() != want {
		t.Errorf("%v, wanted %s", err, want)
	}
}

func TestBytecodeIsForOneLinkType(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, []byte("2\n0 0 0 0\n6 0 0 262144\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	filter, err := openPacketFilter(name)
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(3, lab.Start, time.Millisecond, 60)
	if kept, err := filter.keep(packets); len(kept) != 3 || err != nil {
		t.Fatalf("%d kept, %v", len(kept), err)
	}
	packets[1].LinkType = stream.LinkTypeRaw
	if _, err := filter.keep(packets); err == nil || !strings.Contains(err.Error(), "EN10MB and RAW") {
		t.Errorf("two link types: %v", err)
	}
}

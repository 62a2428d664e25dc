package stream_test

import (
	"bytes"
	"slices"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// A second interface adds a link type to the section, but not to a snapshot that was
// taken before.
func TestSectionIsASnapshot(t *testing.T) {
	packets := lab.Packets(2, lab.Start, 0, 60)
	packets[1].LinkType = stream.LinkTypeRaw
	var file bytes.Buffer
	w := newWriter(&file, stream.WriterOptions{PcapNG: true})
	if err := w.Write(packets); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := stream.NewReader(&file)
	defer r.Close()
	if section := r.Section(); section.Format != stream.FormatUnknown || section.LinkTypes != nil {
		t.Errorf("before the first Read: %+v", section)
	}
	batch := make([]stream.Packet, 1)
	var snapshots []stream.Section
	for range packets {
		if n, err := r.Read(batch); n != 1 {
			t.Fatal(err)
		}
		snapshots = append(snapshots, r.Section())
	}
	for i, want := range [][]stream.LinkType{{stream.LinkTypeEthernet}, {stream.LinkTypeEthernet, stream.LinkTypeRaw}} {
		if !slices.Equal(snapshots[i].LinkTypes, want) {
			t.Errorf("after packet %d: link types %v, wanted %v", i+1, snapshots[i].LinkTypes, want)
		}
	}
	if allocations := testing.AllocsPerRun(100, func() { _ = r.Section() }); allocations > 0 {
		t.Errorf("%v allocations for a snapshot", allocations)
	}
}

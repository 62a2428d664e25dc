package acceptance

import (
	"testing"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/lab/arrival"
	"pcap-replay/stream"
)

// wantArrival expects that the frames that were sent arrived, the same and in the same
// order.
func wantArrival(t *testing.T, where string, sent, received []stream.Packet) *compare.Result {
	t.Helper()
	r, err := arrival.Compare(sent, received)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if !arrival.IsSame(r) {
		t.Errorf("%s: %d packets of %d bytes arrived, wanted %d of %d, the same in the same order: %d missing, %d extra, %d altered, %d duplicated, %d reordered",
			where, r.Capture.Packets, r.Capture.Bytes, r.Reference.Packets, r.Reference.Bytes,
			r.Comparison.Missing, r.Comparison.Extra, r.Altered, r.Duplicated, r.Reordered)
	}
	return r
}

package survey

import "testing"

// A picture keeps the Rate of each capture, and there may be very many with one packet.
func TestRateOfOnePacketIsSmall(t *testing.T) {
	r := new(Rate)
	r.add(1)
	if cap(r.counts) > 8 {
		t.Errorf("one packet takes %d buckets", cap(r.counts))
	}
}

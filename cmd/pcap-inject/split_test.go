package main

import (
	"testing"

	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// limitedSender accepts a number of packets, and has no room for more.
type limitedSender struct {
	wire.Sender
	room int
}

func (s *limitedSender) Send(packets []stream.Packet) (sent int, err error) {
	sent = min(s.room, len(packets))
	s.room -= sent
	return sent, nil
}

// Only what has left is counted as undecided: not what was read ahead, and not twice what is
// sent again.
func TestCountsUndecidedWhenSent(t *testing.T) {
	packets := make([]stream.Packet, 10)
	for i := range packets {
		packets[i].Data = make([]byte, 60)
		packets[i].Direction = stream.DirectionUnknown
	}
	packets[0].Direction = stream.Inbound
	packets[2].Direction = stream.Outbound
	first, second := &limitedSender{room: 5}, &limitedSender{room: 5}
	s := newSplitSender(first, second)

	splitter, err := newSplitter(splitByDirection)
	if err != nil {
		t.Fatal(err)
	}
	splitter.warned = true // without messages
	if err := splitter.decide(packets, nil); err != nil {
		t.Fatal(err)
	}
	check := func(wantSent, sent int, undecided int64) {
		t.Helper()
		if got := s.sides[0].undecided.Load(); sent != wantSent || got != undecided || s.sides[1].undecided.Load() != 0 {
			t.Errorf("%d sent, %d undecided; wanted %d and %d", sent, got, wantSent, undecided)
		}
	}
	check(0, 0, 0)
	sent, _ := s.Send(packets)
	check(6, sent, 4)
	first.room = 2
	again, _ := s.Send(packets[sent:])
	check(2, again, 6)
}

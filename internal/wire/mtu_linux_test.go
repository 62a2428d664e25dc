package wire_test

import (
	"errors"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// The MTU may become smaller at any moment: what it lets through goes out, in order,
// and each frame that is too long now is named.
func TestMTUBecomesSmaller(t *testing.T) { onEveryWay(t, mtuBecomesSmaller) }

func mtuBecomesSmaller(t *testing.T, receiver *lab.Receiver, _ *wire.Interface, sender wire.Sender) {
	const rounds, frames = 20, 300
	var wanted []stream.Packet
	for round := range rounds {
		packets := make([]stream.Packet, frames)
		for k := range packets {
			number := round*frames + k
			packets[k].Data = lab.Frame(0, uint32(number), 100+number%3*500)
		}
		for _, name := range []string{"right", "left"} {
			if err := lab.SetMTU(name, 1500); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := sendAll(sender, packets[:1]); n != 1 || err != nil {
			t.Fatalf("%d sent: %v", n, err)
		}
		for _, name := range []string{"right", "left"} {
			if err := lab.SetMTU(name, 700); err != nil {
				t.Fatal(err)
			}
		}
		wanted = append(wanted, packets[0])
		for rest := packets[1:]; len(rest) > 0; {
			n, err := sendAll(sender, rest)
			wanted, rest = append(wanted, rest[:n]...), rest[n:]
			if err == nil {
				continue
			}
			if !errors.Is(err, wire.ErrTooLong) || len(rest[0].Data) <= 714 {
				t.Fatalf("frame of %d bytes: %v", len(rest[0].Data), err)
			}
			rest = rest[1:]
		}
	}
	if len(wanted) > rounds*(frames*2/3+2) {
		t.Errorf("%d frames sent, though a third is too long", len(wanted))
	}
	expect(t, receiver, wanted)
}

// A frame of the MTU fits into the memory of AF_XDP, beside what a timestamp takes, or the
// interface is refused.
func TestLargestMTUsOfXDP(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	receiver := listen(t, "right")
	for _, test := range []struct {
		mtu     int
		stamped bool
		err     error
	}{
		{1998, true, nil}, {1999, true, nil}, {2030, true, nil}, {2030, false, nil}, {2031, false, nil},
		{4046, true, nil}, {4047, true, wire.ErrTooLong}, {4078, true, wire.ErrTooLong}, {4078, false, nil}, {4079, false, wire.ErrTooLong},
	} {
		for _, name := range []string{"right", "left"} {
			if err := lab.SetMTU(name, test.mtu); err != nil {
				t.Fatal(err)
			}
		}
		i, err := wire.Lookup("left")
		if err != nil {
			t.Fatal(err)
		}
		sender, err := wire.OpenXDP(i, 0, test.stamped)
		if !errors.Is(err, test.err) {
			t.Fatalf("%+v: %v", test, err)
		}
		if err != nil {
			continue
		}
		packets := lab.Packets(2000, lab.Start, 0, i.MaxFrame())
		if sent, err := sendAll(sender, packets); sent != len(packets) || err != nil {
			t.Fatalf("%+v: %d sent, %v", test, sent, err)
		}
		expect(t, receiver, packets)
		if test.stamped {
			stamps, err := wire.StampFrames(sender)
			if err != nil {
				t.Fatal(err)
			}
			readStamps(t, sender, stamps, len(packets))
		}
		sender.Close()
	}
}

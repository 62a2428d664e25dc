package frame_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// ethernetLimits are the limits of an Ethernet interface with an MTU of 1500.
var ethernetLimits = frame.Limits{Shortest: frame.EthernetLength, Longest: 1514, Ethernet: true, Accepts: acceptEthernet}

func acceptEthernet(link stream.LinkType) error {
	if link == stream.LinkTypeEthernet {
		return nil
	}
	return errors.New("no Ethernet")
}

func TestPolicies(t *testing.T) {
	packet := func(captured, wireLength int, link stream.LinkType) stream.Packet {
		data := lab.Frame(0, 0, max(captured, 60))[:captured]
		if link != stream.LinkTypeEthernet {
			data = lab.Frame(0, 0, captured+frame.EthernetLength)[frame.EthernetLength:]
		}
		return stream.Packet{Data: data, WireLength: uint32(wireLength), LinkType: link}
	}
	ethernet := stream.LinkTypeEthernet
	tso := superframe(t, false, false, make([]byte, 3000))
	tso.WireLength = uint32(len(tso.Data))
	for _, test := range []struct {
		packet   stream.Packet
		policies frame.Policies
		lengths  []int
		reason   frame.SkipReason
		asked    bool
		why      string
	}{
		{packet: packet(60, 60, ethernet), lengths: []int{60}},
		{packet: packet(1514, 1514, ethernet), lengths: []int{1514}},
		{packet: packet(1515, 1515, ethernet), reason: frame.SkippedOversize, why: "1515 bytes, but at most 1514 can be sent"},
		{packet: packet(1515, 1515, ethernet), policies: frame.Policies{Oversize: frame.OversizeSkip}, reason: frame.SkippedOversize, asked: true, why: "1515 bytes, but at most 1514 can be sent"},
		{packet: packet(1515, 1515, ethernet), policies: frame.Policies{Oversize: frame.OversizeTruncate}, lengths: []int{1514}},
		{packet: packet(1515, 1515, ethernet), policies: frame.Policies{Oversize: frame.OversizeSegment}, reason: frame.SkippedOversize, why: "1515 bytes, but at most 1514 can be sent: frame of IP protocol 17, not TCP, cannot be segmented"},
		{packet: tso, policies: frame.Policies{Oversize: frame.OversizeSegment}, lengths: []int{1514, 1514, 66 + 3000 - 2*1448}},
		{packet: packet(100, 200, ethernet), lengths: []int{200}},
		{packet: packet(100, 200, ethernet), policies: frame.Policies{Short: frame.ShortAsIs}, lengths: []int{100}},
		{packet: packet(100, 200, ethernet), policies: frame.Policies{Short: frame.ShortSkip}, reason: frame.SkippedShort, asked: true, why: "the capture holds only 100 bytes of it"},
		{packet: packet(100, 2000, ethernet), reason: frame.SkippedOversize, why: "2000 bytes, but at most 1514 can be sent"},
		{packet: packet(100, 2000, ethernet), policies: frame.Policies{Oversize: frame.OversizeTruncate}, lengths: []int{1514}},
		{packet: packet(13, 13, ethernet), reason: frame.SkippedShort, why: "it had only 13 bytes on the wire"},
		{packet: packet(100, 100, stream.LinkTypeRaw), reason: frame.SkippedLinkType, why: "no Ethernet"},
		{packet: packet(100, 100, stream.LinkTypeRaw), policies: frame.Policies{Link: frame.LinkEthernet}, lengths: []int{114}},
		{packet: packet(100, 100, stream.LinkTypePPP), policies: frame.Policies{Link: frame.LinkEthernet}, reason: frame.SkippedLinkType, why: "no Ethernet"},
	} {
		t.Run(fmt.Sprintf("%d of %d bytes %+v", len(test.packet.Data), test.packet.WireLength, test.policies), func(t *testing.T) {
			fitter := frame.NewFitter(ethernetLimits, test.policies)
			frames, reason := fitter.Frames([]stream.Packet{test.packet})
			var lengths []int
			for i := range frames {
				lengths = append(lengths, len(frames[i].Data))
			}
			if !slices.Equal(lengths, test.lengths) || reason != test.reason || test.policies.Asked(reason) != test.asked {
				t.Errorf("frames of %v bytes, skipped as %q, asked %v", lengths, reason, test.policies.Asked(reason))
			}
			if reason == frame.NotSkipped {
				return
			}
			if why := fitter.Explain(&test.packet, reason); why != test.why {
				t.Errorf("%q, wanted %q", why, test.why)
			}
		})
	}
}

// Only a TCP packet would be cut into segments, and one of which the capture holds a part only
// if it is padded.
func TestWouldSegment(t *testing.T) {
	tso := superframe(t, false, false, make([]byte, 3000))
	tso.WireLength = uint32(len(tso.Data))
	cut := tso
	cut.Data = cut.Data[:2000]
	udp := stream.Packet{Data: lab.Frame(0, 0, 3000), WireLength: 3000, LinkType: stream.LinkTypeEthernet}
	for _, c := range []struct {
		name     string
		packet   stream.Packet
		policies frame.Policies
		want     bool
	}{
		{"TCP", tso, frame.Policies{}, true},
		{"TCP that is segmented", tso, frame.Policies{Oversize: frame.OversizeSegment}, false},
		{"cut", cut, frame.Policies{}, true},
		{"cut and sent as it is", cut, frame.Policies{Short: frame.ShortAsIs}, false},
		{"UDP", udp, frame.Policies{}, false},
	} {
		if got := frame.NewFitter(ethernetLimits, c.policies).WouldSegment(&c.packet); got != c.want {
			t.Errorf("%s: %v, wanted %v", c.name, got, c.want)
		}
	}
}

// Frames that are sent unchanged or padded do not allocate memory.
func TestFramesDoesNotAllocate(t *testing.T) {
	fitter := frame.NewFitter(ethernetLimits, frame.Policies{})
	data := lab.Frame(0, 0, 100)
	packets := []stream.Packet{
		{Data: data, WireLength: 100, LinkType: stream.LinkTypeEthernet}, {Data: data, WireLength: 200, LinkType: stream.LinkTypeEthernet},
	}
	allocated := testing.AllocsPerRun(1000, func() {
		for i := range packets {
			if _, reason := fitter.Frames(packets[i : i+1]); reason != frame.NotSkipped {
				t.Fatal(reason)
			}
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

// FuzzFrames checks that for any packet, the frames fit, or the packet is skipped with a
// reason.
func FuzzFrames(f *testing.F) {
	f.Add(lab.Frame(0, 0, 100), uint32(100), uint16(1), uint8(0))
	f.Add(lab.Frame(0, 0, 2000), uint32(2000), uint16(1), uint8(7))
	f.Add(lab.Frame(0, 0, 100)[14:], uint32(4e9), uint16(101), uint8(13))
	f.Add([]byte{0x45}, uint32(0), uint16(276), uint8(30))
	f.Fuzz(func(t *testing.T, data []byte, wireLength uint32, link uint16, flags uint8) {
		fitter := frame.NewFitter(ethernetLimits, frame.Policies{
			Oversize: frame.OversizePolicy(flags % 4), Short: frame.ShortPolicy(flags / 4 % 3), Link: frame.LinkPolicy(flags / 12 % 2),
		})
		packet := stream.Packet{Data: data, WireLength: wireLength, LinkType: stream.LinkType(link)}
		frames, reason := fitter.Frames([]stream.Packet{packet})
		if (len(frames) == 0) != (reason != frame.NotSkipped) {
			t.Fatalf("%d frames, reason %v", len(frames), reason)
		}
		if reason != frame.NotSkipped && fitter.Explain(&packet, reason) == "" {
			t.Fatalf("no words for %v", reason)
		}
		for _, made := range frames {
			if len(made.Data) < frame.EthernetLength || len(made.Data) > frame.MaxLength(made.Data, 1500) || made.LinkType != stream.LinkTypeEthernet {
				t.Fatalf("frame of %d bytes of link type %v", len(made.Data), made.LinkType)
			}
		}
	})
}

// A packet without a MAC address gets that of its IP address, if it is known. Addresses that
// a cooked header or the kind of the IP address give are left as they are.
func TestFramesToNeighbors(t *testing.T) {
	limits := ethernetLimits
	limits.Neighbor = func(address []byte) (mac [6]byte, known bool) {
		return [6]byte{2, 9, 9, 9, 9, address[len(address)-1]}, address[len(address)-1] < 100
	}
	ipv4 := func(last byte) []byte { return append([]byte{0x45, 18: 0, 19: last}, make([]byte, 40)...) }
	ipv6 := func(first, last byte) []byte { return append([]byte{0x60, 24: first, 39: last}, make([]byte, 40)...) }
	const madeUp = "\x02\x00\x00\x00\x00\x02"
	for name, test := range map[string]struct {
		data []byte
		link stream.LinkType
		want string
	}{
		"IPv4":         {ipv4(7), stream.LinkTypeRaw, "\x02\x09\x09\x09\x09\x07"},
		"IPv6":         {ipv6(0x20, 8), stream.LinkTypeRaw, "\x02\x09\x09\x09\x09\x08"},
		"unknown":      {ipv4(100), stream.LinkTypeRaw, madeUp},
		"loopback":     {append([]byte{2, 0, 0, 0}, ipv4(7)...), stream.LinkTypeNull, "\x02\x09\x09\x09\x09\x07"},
		"cooked":       {append([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0}, ipv4(7)...), stream.LinkTypeLinuxSLL, "\x02\x09\x09\x09\x09\x07"},
		"multicast":    {ipv6(0xff, 8), stream.LinkTypeRaw, "\x33\x33\x00\x00\x00\x08"},
		"cooked ARP":   {append([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 6}, make([]byte, 28)...), stream.LinkTypeLinuxSLL, madeUp},
		"has Ethernet": {append([]byte(madeUp), append([]byte{2, 0, 0, 0, 0, 1, 8, 0}, ipv4(7)...)...), stream.LinkTypeEthernet, madeUp},
	} {
		fitter := frame.NewFitter(limits, frame.Policies{Link: frame.LinkEthernet})
		frames, reason := fitter.Frames([]stream.Packet{{Data: test.data, WireLength: uint32(len(test.data)), LinkType: test.link}})
		if reason != frame.NotSkipped || string(frames[0].Data[:6]) != test.want {
			t.Errorf("%s: %v, %x, wanted to %x", name, reason, dataOf(frames), test.want)
		}
	}
}

func dataOf(packets []stream.Packet) (data [][]byte) {
	for i := range packets {
		data = append(data, packets[i].Data)
	}
	return data
}

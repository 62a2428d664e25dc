package frame_test

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// superframe makes a TCP frame of any length, as a host with TSO passes it to its NIC.
func superframe(t testing.TB, isIPv6, tagged bool, payload []byte) stream.Packet {
	t.Helper()
	tcp := &layers.TCP{
		SrcPort: 1234, DstPort: 80, Seq: 0xfffffc00, Ack: 7, ACK: true, PSH: true, FIN: true, CWR: true, Window: 100,
		Options: []layers.TCPOption{{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)}},
	}
	ethernet := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	stack := []gopacket.SerializableLayer{ethernet}
	etherType := &ethernet.EthernetType
	if tagged {
		*etherType = layers.EthernetTypeDot1Q
		tag := &layers.Dot1Q{VLANIdentifier: 42}
		stack, etherType = append(stack, tag), &tag.Type
	}
	if isIPv6 {
		*etherType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolTCP, HopLimit: 64, SrcIP: net.ParseIP("fd00::1"), DstIP: net.ParseIP("fd00::2")}
		stack = append(stack, ip)
		_ = tcp.SetNetworkLayerForChecksum(ip)
	} else {
		*etherType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TTL: 64, Id: 0xfffe, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{10, 0, 0, 1}, DstIP: net.IP{10, 0, 0, 2}}
		stack = append(stack, ip)
		_ = tcp.SetNetworkLayerForChecksum(ip)
	}
	stack = append(stack, tcp, gopacket.Payload(payload))
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	data := bytes.Clone(buffer.Bytes())
	return stream.Packet{Time: lab.Start, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet}
}

// serializedAgain lets gopacket serialize the frame again, with lengths and checksums of
// its own.
func serializedAgain(t *testing.T, frame []byte) []byte {
	t.Helper()
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if failure := packet.ErrorLayer(); failure != nil {
		t.Fatal(failure.Error())
	}
	if err := packet.TransportLayer().(*layers.TCP).SetNetworkLayerForChecksum(packet.NetworkLayer()); err != nil {
		t.Fatal(err)
	}
	buffer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializePacket(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, packet); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestSegmentsAreWhatACardSends(t *testing.T) {
	payload := make([]byte, 20001)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	var segmenter frame.Segmenter
	for _, c := range []struct{ isIPv6, tagged bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		packet := superframe(t, c.isIPv6, c.tagged, payload)
		packet.Data = append(packet.Data, 0, 0, 0) // padding is not data
		segments, err := segmenter.Segment(&packet, 1500)
		if err != nil {
			t.Fatal(err)
		}
		var joined []byte
		for k, segment := range segments {
			header := 14
			if c.tagged {
				header += 4
			}
			if len(segment.Data) > header+1500 || k < len(segments)-1 && len(segment.Data) != header+1500 {
				t.Errorf("%+v: segment %d is %d bytes long", c, k, len(segment.Data))
			}
			if again := serializedAgain(t, segment.Data); !bytes.Equal(again, segment.Data) {
				t.Fatalf("%+v: segment %d:\n%x, gopacket makes\n%x", c, k, segment.Data[:80], again[:80])
			}
			decoded := gopacket.NewPacket(segment.Data, layers.LayerTypeEthernet, gopacket.Default)
			tcp := decoded.TransportLayer().(*layers.TCP)
			last := k == len(segments)-1
			if tcp.Seq != 0xfffffc00+uint32(len(joined)) || tcp.FIN != last || tcp.PSH != last || tcp.CWR != (k == 0) || !tcp.ACK {
				t.Errorf("%+v: segment %d has sequence %#x, FIN %v, PSH %v, CWR %v", c, k, tcp.Seq, tcp.FIN, tcp.PSH, tcp.CWR)
			}
			if ip, ok := decoded.NetworkLayer().(*layers.IPv4); ok && ip.Id != 0xfffe+uint16(k) {
				t.Errorf("%+v: segment %d has identification %#x", c, k, ip.Id)
			}
			if segment.Time != packet.Time || int(segment.WireLength) != len(segment.Data) {
				t.Errorf("%+v: segment %d: time %d, length on the wire %d", c, k, segment.Time, segment.WireLength)
			}
			joined = append(joined, tcp.Payload...)
		}
		if !bytes.Equal(joined, payload) {
			t.Errorf("%+v: %d bytes of data, wanted %d", c, len(joined), len(payload))
		}
	}
}

func TestWhatIsNoSuperframeIsSaid(t *testing.T) {
	var segmenter frame.Segmenter
	udp := lab.Packets(1, lab.Start, 0, 3000)[0]
	cut := superframe(t, false, false, make([]byte, 3000))
	cut.Data = cut.Data[:2000]
	fragment := superframe(t, false, false, make([]byte, 3000))
	fragment.Data[20] |= 0x20
	arp := superframe(t, false, false, make([]byte, 3000))
	arp.Data[13] = 0x06
	raw := superframe(t, false, false, make([]byte, 3000))
	raw.LinkType = stream.LinkTypeRaw
	for name, packet := range map[string]stream.Packet{"UDP": udp, "cut": cut, "fragment": fragment, "ARP": arp, "RAW": raw, "empty": {LinkType: stream.LinkTypeEthernet}} {
		if segments, err := segmenter.Segment(&packet, 1500); !errors.Is(err, frame.ErrNoSegments) || segments != nil {
			t.Errorf("%s: %d segments, %v", name, len(segments), err)
		}
	}
	packet := superframe(t, false, false, make([]byte, 3000))
	if _, err := segmenter.Segment(&packet, 52); !errors.Is(err, frame.ErrNoSegments) {
		t.Errorf("no room for data: %v", err)
	}
}

// VLAN tags that count towards the MTU make segments shorter.
func TestSegmentsWithTagsFit(t *testing.T) {
	for _, c := range []struct {
		tags    string // after the addresses
		longest int
	}{
		{"", 1514},
		{"8100 0001", 1518},
		{"88a8 0001", 1514},
		{"88a8 0001 8100 0002", 1514},
		{"8100 0001 8100 0002", 1518},
	} {
		packet := superframe(t, false, false, make([]byte, 5000))
		packet.Data = slices.Insert(packet.Data, 12, unhex(t, c.tags)...)
		var segmenter frame.Segmenter
		segments, err := segmenter.Segment(&packet, 1500)
		if err != nil || len(segments[0].Data) != c.longest {
			t.Errorf("%q: first segment of %d bytes, wanted %d; %v", c.tags, len(segments[0].Data), c.longest, err)
		}
	}
}

func TestSegmentDoesNotAllocate(t *testing.T) {
	var segmenter frame.Segmenter
	packet := superframe(t, false, false, make([]byte, 60000))
	if allocations := testing.AllocsPerRun(100, func() { _, _ = segmenter.Segment(&packet, 1500) }); allocations > 0 {
		t.Errorf("%v allocations a frame", allocations)
	}
}

// FuzzSegment checks that the segments have all the data, and that none is longer than the
// MTU.
func FuzzSegment(f *testing.F) {
	for _, isIPv6 := range []bool{false, true} {
		f.Add(superframe(f, isIPv6, isIPv6, make([]byte, 60)).Data, 100) // small seeds are minimized quickly
	}
	f.Fuzz(func(t *testing.T, data []byte, mtu int) {
		if len(data) > 1<<16 || mtu < 68 { // minimum MTU of IPv4: RFC 791
			return
		}
		var segmenter frame.Segmenter
		packet := stream.Packet{Data: data, LinkType: stream.LinkTypeEthernet}
		segments, err := segmenter.Segment(&packet, mtu)
		if err != nil {
			return
		}
		total := 0
		for _, segment := range segments {
			if len(segment.Data) > mtu+18 || len(segment.Data) > len(data) {
				t.Fatalf("segment of %d bytes for an MTU of %d", len(segment.Data), mtu)
			}
			total += len(segment.Data)
		}
		if total < min(len(data), 34) {
			t.Fatalf("%d bytes of %d are left", total, len(data))
		}
	})
}

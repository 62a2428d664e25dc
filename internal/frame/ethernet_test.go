package frame_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFramesBecomeEthernet(t *testing.T) {
	ip := lab.Frame(0, 1, 100)[14:]
	multicast := bytes.Clone(ip)
	copy(multicast[16:], []byte{239, 129, 2, 3})
	toAll := bytes.Clone(ip)
	copy(toAll[16:], []byte{255, 255, 255, 255})
	ip6 := append(unhex(t, "60000000 0000 3b40 fd000000000000000000000000000001 ff020000000000000000000100000002"), 0)
	const madeUp = "020000000002 020000000001 "
	for _, c := range []struct {
		name   string
		link   stream.LinkType
		before string // the link-layer header of the capture
		ip     []byte
		want   string
	}{
		{"RAW", stream.LinkTypeRaw, "", ip, madeUp + "0800"},
		{"IPV4", stream.LinkTypeIPv4, "", ip, madeUp + "0800"},
		{"multicast", stream.LinkTypeRaw, "", multicast, "01005e010203 020000000001 0800"},
		{"broadcast", stream.LinkTypeRaw, "", toAll, "ffffffffffff 020000000001 0800"},
		{"IPv6 multicast", stream.LinkTypeIPv6, "", ip6, "333300000002 020000000001 86dd"},
		{"NULL", stream.LinkTypeNull, "02000000", ip, madeUp + "0800"},
		{"NULL, other byte order", stream.LinkTypeNull, "00000002", ip, madeUp + "0800"},
		{"LOOP", stream.LinkTypeLoop, "00000018", ip6, "333300000002 020000000001 86dd"},
		{"SLL", stream.LinkTypeLinuxSLL, "0000 0001 0006 0a0b0c0d0e0f0000 0800", ip, "020000000002 0a0b0c0d0e0f 0800"},
		{"SLL broadcast ARP", stream.LinkTypeLinuxSLL, "0001 0001 0006 0a0b0c0d0e0f0000 0806", ip, "ffffffffffff 0a0b0c0d0e0f 0806"},
		{"SLL without address", stream.LinkTypeLinuxSLL, "0004 0304 0000 0000000000000000 0800", ip, madeUp + "0800"},
		{"SLL of 802.2", stream.LinkTypeLinuxSLL, "0000 0001 0006 0a0b0c0d0e0f0000 0004", ip[:38], "020000000002 0a0b0c0d0e0f 0026"},
		{"SLL2", stream.LinkTypeLinuxSLL2, "0800 0000 00000002 0001 00 06 0a0b0c0d0e0f0000", ip, "020000000002 0a0b0c0d0e0f 0800"},
		{"Ethernet", stream.LinkTypeEthernet, "112233445566 778899aabbcc 1234", ip, "112233445566 778899aabbcc 1234"},
	} {
		packet := stream.Packet{Data: append(unhex(t, c.before), c.ip...), LinkType: c.link}
		got, err := frame.AppendEthernet(nil, &packet)
		if want := append(unhex(t, c.want), c.ip...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v; wanted %x", c.name, got, err, want)
		}
		if !frame.BecomesEthernet(c.link) {
			t.Errorf("%s: is said not to become Ethernet", c.name)
		}
	}
}

func TestWhatCannotBecomeEthernetIsSaid(t *testing.T) {
	for _, c := range []struct {
		link stream.LinkType
		data string
		want error
	}{
		{stream.LinkTypeRaw, "12345678", frame.ErrNoEthernet},
		{stream.LinkTypeNull, "02", frame.ErrTooShort},
		{stream.LinkTypeLinuxSLL, "0000", frame.ErrTooShort},
		{stream.LinkTypeLinuxSLL, "0000 0338 0000 0000000000000000 0010 aabb", frame.ErrNoEthernet}, // netlink
		{stream.LinkTypeIEEE80211, "00", frame.ErrNoEthernet},
	} {
		packet := stream.Packet{Data: unhex(t, c.data), LinkType: c.link}
		if got, err := frame.AppendEthernet(nil, &packet); !errors.Is(err, c.want) || len(got) > 0 {
			t.Errorf("%s %s: %x, %v", c.link, c.data, got, err)
		}
	}
}

func FuzzEthernet(f *testing.F) {
	f.Add(uint16(stream.LinkTypeLinuxSLL), unhex(f, "0000 0001 0006 0a0b0c0d0e0f0000 0800 45"))
	f.Add(uint16(stream.LinkTypeRaw), lab.Frame(0, 1, 100)[14:])
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		packet := stream.Packet{Data: data, LinkType: stream.LinkType(link)}
		if frame, err := frame.AppendEthernet(nil, &packet); err == nil && len(frame) < 14 && packet.LinkType != stream.LinkTypeEthernet {
			t.Fatalf("%x", frame)
		}
	})
}

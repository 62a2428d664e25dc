package rewrite

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ethernet makes a packet of a frame in hexadecimal.
func ethernet(t testing.TB, text string) stream.Packet {
	data := unhex(t, text)
	return stream.Packet{Time: lab.Start, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet}
}

const (
	macs    = "020000000002 020000000001 "
	ipv4UDP = "4500 0020 0000 0000 4011 66cd 0a000001 0a000002 " // 12 bytes follow
	udp     = "c350 0035 000c 0000 01020304"
)

// Each place of a packet in which a rule changes something. Checksums are compared with
// tshark elsewhere.
func TestEachPlaceIsChanged(t *testing.T) {
	for _, c := range []struct{ name, flags, before, after string }{
		{"addresses and no UDP checksum", "map 10.0.0.0/24=10.0.1.0/24", macs + "0800" + ipv4UDP + udp,
			macs + "0800 4500 0020 0000 0000 4011 64cd 0a000101 0a000102" + udp},
		{"padding stays", "map 10.0.0.0/24=10.0.1.0/24 port 53=54", macs + "0800" + "4500 0016 0000 0000 4011 66d7 0a000001 0a000002 c350 0035 0035",
			macs + "0800" + "4500 0016 0000 0000 4011 64d7 0a000101 0a000102 c350 0035 0035"},
		{"MAC addresses", "mac 02:00:00:00:00:01=02:00:00:00:00:09 dst-mac 02:00:00:00:00:08", macs + "88cc 01", "020000000008 020000000009 88cc 01"},
		{"ARP", "map 10.0.0.1=10.9.9.9 mac 02:00:00:00:00:01=02:00:00:00:00:09 src-mac 02:00:00:00:00:07",
			macs + "0806 0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002",
			"020000000002 020000000007 0806 0001 0800 06 04 0001 020000000009 0a090909 000000000000 0a000002"},
		{"push a tag", "vlan push:7", macs + "0800 45", macs + "8100 0007 0800 45"},
		{"push a tag before another", "vlan push:7 vlan 9=8", macs + "8100 e009 0800 45", macs + "8100 0007 8100 e008 0800 45"},
		{"remove the outer tag", "vlan pop", macs + "88a8 0007 8100 0009 0800 45", macs + "8100 0009 0800 45"},
		{"no tag to remove", "vlan pop", macs + "0800 45", macs + "0800 45"},
		{"change the outer tag", "vlan 7=8 vlan 9=10", macs + "8100 e007 8100 0009 0800 45", macs + "8100 e008 8100 0009 0800 45"},
		{"behind QinQ", "map 10.0.0.1=10.0.0.9", macs + "88a8 0001 8100 0002 0800" + ipv4UDP + udp,
			macs + "88a8 0001 8100 0002 0800 4500 0020 0000 0000 4011 66c5 0a000009 0a000002" + udp},
		{"behind MPLS", "map 10.0.0.1=10.0.0.9", macs + "8847 00010040 00020140" + ipv4UDP + udp,
			macs + "8847 00010040 00020140 4500 0020 0000 0000 4011 66c5 0a000009 0a000002" + udp},
		{"an Ethernet frame behind MPLS stays", "map 0.0.0.0/1=128.0.0.0/1", macs + "8847 00010140 480000000002 020000000001 0800" + ipv4UDP + udp,
			macs + "8847 00010140 480000000002 020000000001 0800" + ipv4UDP + udp},
		{"behind PPPoE", "map 10.0.0.1=10.0.0.9", macs + "8864 1100 0001 0022 0021" + ipv4UDP + udp,
			macs + "8864 1100 0001 0022 0021 4500 0020 0000 0000 4011 66c5 0a000009 0a000002" + udp},
		{"ports", "port 53=5353", macs + "0800" + ipv4UDP + udp, macs + "0800" + ipv4UDP + "c350 14e9 000c 0000 01020304"},
		{"a later fragment has no ports", "port 53=5353", macs + "0800 4500 0020 0000 0001 4011 66cc 0a000001 0a000002" + udp,
			macs + "0800 4500 0020 0000 0001 4011 66cc 0a000001 0a000002" + udp},
		{"the first fragment has them", "port 53=5353", macs + "0800 4500 0020 0000 2000 4011 46cd 0a000001 0a000002 c350 0035 000c 1111 01020304",
			macs + "0800 4500 0020 0000 2000 4011 46cd 0a000001 0a000002 c350 14e9 000c fc5c 01020304"},
		{"behind an authentication header", "map 10.0.0.1=10.0.0.9 port 53=5353",
			macs + "0800 4500 0038 0000 0000 4033 6693 0a000001 0a000002 1104 0000 00000001 00000001 000102030405060708090a0b c350 0035 000c 1111 01020304",
			macs + "0800 4500 0038 0000 0000 4033 668b 0a000009 0a000002 1104 0000 00000001 00000001 000102030405060708090a0b c350 14e9 000c fc54 01020304"},
		{"what an ICMP error quotes", "map 10.0.0.1=10.0.0.9 port 53=54",
			macs + "0800 4500 0038 0000 0000 4001 66c5 0a000002 0a000001 0303 3d6d 00000000" + ipv4UDP + "c350 0035 000c 0000",
			macs + "0800 4500 0038 0000 0000 4001 66bd 0a000002 0a000009 0303 3d6c 00000000 4500 0020 0000 0000 4011 66c5 0a000009 0a000002 c350 0036 000c 0000"},
	} {
		rules := map[string][]string{}
		words := strings.Fields(c.flags)
		for i := 0; i < len(words); i += 2 {
			rules[words[i]] = append(rules[words[i]], words[i+1])
		}
		before := ethernet(t, c.before)
		original := bytes.Clone(before.Data)
		got, want := rewritten(t, rules, []stream.Packet{before})[0], unhex(t, c.after)
		if !bytes.Equal(got.Data, want) || int(got.WireLength) != len(want) {
			t.Errorf("%s: got, of %d bytes on the wire,\n%x, wanted\n%x", c.name, got.WireLength, got.Data, want)
		}
		if !bytes.Equal(before.Data, original) {
			t.Errorf("%s: the data of the reader has changed", c.name)
		}
	}
}

// What a rule asks for but cannot be done is counted.
func TestWhatCannotBeChangedIsCounted(t *testing.T) {
	for _, c := range []struct {
		name   string
		flag   string
		value  string
		packet stream.Packet
		want   Reason
	}{
		{"cut address", "map", "10.0.0.1=10.0.0.9", ethernet(t, macs+"0800 4500 0020 0000 0000 4011 66cd 0a000001"), Cut},
		{"cut ports", "port", "53=54", ethernet(t, macs+"0800"+ipv4UDP+"c350"), Cut},
		{"cut tag", "vlan", "pop", ethernet(t, macs+"8100 00"), Cut},
		{"cut MAC address", "src-mac", "02:00:00:00:00:01", ethernet(t, "020000000001 02"), Cut},
		{"later fragment", "port", "53=54", ethernet(t, macs+"0800 4500 0020 0000 0001 4011 66cc 0a000001 0a000002"+udp), Fragment},
		{"SCTP in fragments", "port", "53=54", ethernet(t, macs+"0800 4500 0020 0000 2000 4084 0000 0a000001 0a000002 c350 0035 00000000 11111111"), Fragment},
		{"broken header", "map", "10.0.0.1=10.0.0.9", ethernet(t, macs+"0800 4100 0020 0000 0000 4011 66cd 0a000001 0a000002"), Header},
		{"broken option", "map", "10.0.0.9=10.0.0.1", ethernet(t, macs+"0800 4600 0024 0000 0000 4011 66cd 0a000001 0a000002 01831104"+udp), Header},
		{"cut option", "map", "10.0.0.9=10.0.0.1", ethernet(t, macs+"0800 4700 0028 0000 0000 4011 66cd 0a000001 0a000002 01830704 0b00"), Cut},
		{"unknown route", "map", "2001:c::/32=5001:c0c0::/32", ethernet(t, macs+"86dd"+hex.EncodeToString(ip6(t, "2b", "11 02 03 01 00000000 0000000000000003", source6, final6))), Route},
		{"unknown link type", "map", "10.0.0.1=10.0.0.9", stream.Packet{LinkType: stream.LinkTypeIEEE80211, Data: make([]byte, 60)}, LinkType},
		{"no MAC address", "dst-mac", "02:00:00:00:00:01", stream.Packet{LinkType: stream.LinkTypeRaw, Data: unhex(t, ipv4UDP+udp)}, LinkType},
		{"no tag", "vlan", "push:7", stream.Packet{LinkType: stream.LinkTypeRaw, Data: unhex(t, ipv4UDP+udp)}, LinkType},
		{"no room", "vlan", "push:7", stream.Packet{LinkType: stream.LinkTypeEthernet, Data: make([]byte, stream.MaxCaptureLength-3)}, Length},
	} {
		r, err := New(map[string][]string{c.flag: {c.value}})
		if err != nil {
			t.Fatal(err)
		}
		after := rewrittenBy(r, []stream.Packet{c.packet})[0]
		for reason := range Reasons {
			want := int64(0)
			if reason == c.want {
				want = 1
			}
			if got := r.Missed[reason].Load(); got != want {
				t.Errorf("%s: reason %d counted %d times, wanted %d", c.name, reason, got, want)
			}
		}
		if !bytes.Equal(after.Data, c.packet.Data) || r.Changed.Load() != 0 {
			t.Errorf("%s: has changed", c.name)
		}
	}
}

// A UDP checksum never becomes 0, which would mean that there is none.
func TestUDPChecksumIsNeverLost(t *testing.T) {
	for last := range 1 << 16 {
		packet := ethernet(t, macs+"0800"+ipv4UDP+"c350 0035 000c 0001 01020304")
		binary.BigEndian.PutUint16(packet.Data[40:], uint16(last))
		before := binary.BigEndian.Uint16(packet.Data[40:])
		after := binary.BigEndian.Uint16(rewritten(t, map[string][]string{"map": {"10.0.0.1=10.0.0.9"}}, []stream.Packet{packet})[0].Data[40:])
		if want := uint16((int(before) + 65535 - 8) % 65535); before != 0 && after%65535 != want || (after == 0) != (before == 0) {
			t.Fatalf("checksum %#04x becomes %#04x", before, after)
		}
	}
}

// The CRC of SCTP stays right, and a wrong one wrong by the same bits, also of a packet of
// which the capture holds only a part.
func TestCRCOfSCTPStaysRightOrWrong(t *testing.T) {
	for _, length := range []int{12, 13, 60, 5000, 60000} {
		sctp := make([]byte, length)
		for i := range sctp {
			sctp[i] = byte(i * 7)
		}
		copy(sctp, unhex(t, "c350 0035 00000001 00000000"))
		binary.LittleEndian.PutUint32(sctp[8:], crc32.Checksum(sctp, castagnoli))
		packet := ethernet(t, macs+"0800 4500 0000 0000 0000 4084 0000 0a000001 0a000002")
		binary.BigEndian.PutUint16(packet.Data[16:], uint16(20+length))
		packet.Data = append(packet.Data, sctp...)
		for _, wrong := range []uint32{0, 0x01020304} {
			for _, captured := range []int{length, 12} {
				before := packet
				before.Data = bytes.Clone(packet.Data)
				crc := before.Data[34+8:]
				binary.LittleEndian.PutUint32(crc, binary.LittleEndian.Uint32(crc)^wrong)
				before.Data = before.Data[:34+captured]
				after := slices.Concat(rewritten(t, map[string][]string{"port": {"53=54", "50000=1"}}, []stream.Packet{before})[0].Data[34:], sctp[captured:])
				got := binary.LittleEndian.Uint32(after[8:])
				clear(after[8:12])
				if want := crc32.Checksum(after, castagnoli) ^ wrong; got != want || after[1] != 1 || after[3] != 54 {
					t.Errorf("%d bytes, %d captured: %#08x, wanted %#08x", length, captured, got, want)
				}
			}
		}
	}
}

func TestRewritingAllocatesNothing(t *testing.T) {
	r, err := New(map[string][]string{
		"map": {"10.0.0.0/8=20.0.0.0/8", "fd00::/16=fd01::/16"}, "mac": {"02:00:00:00:00:01=02:00:00:00:00:03"},
		"src-mac": {"02:00:00:00:00:05"}, "port": {"20000=443"}, "vlan": {"push:7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.Packets(512, lab.Start, 1000, 1514)
	var batch lab.Batch
	allocated := testing.AllocsPerRun(100, func() { r.Rewrite(batch.Copy(packets)) })
	if allocated > 0 {
		t.Errorf("%v allocations for %d packets", allocated, len(packets))
	}
}

// FuzzRewrite holds that only VLAN tags change the length of a packet, and that the inverse
// rules give the same bytes.
func FuzzRewrite(f *testing.F) {
	f.Add(uint16(1), lab.Frame(1, 2, 60))
	f.Add(uint16(101), lab.Frame(1, 2, 60)[14:])
	f.Fuzz(func(t *testing.T, link uint16, data []byte) {
		packet := stream.Packet{LinkType: stream.LinkType(link), Data: data, WireLength: uint32(len(data)) + 10}
		there := rewritten(t, everything, []stream.Packet{packet})
		back := rewritten(t, everything, there)[0]
		if !equalBut0(back.Data, data) || len(there[0].Data) != len(data) || back.WireLength != packet.WireLength {
			t.Fatalf("%x becomes %x and then %x", data, there[0].Data, back.Data)
		}
		pushed := rewritten(t, map[string][]string{"vlan": {"push:7"}}, []stream.Packet{packet})
		popped := rewritten(t, map[string][]string{"vlan": {"pop"}}, pushed)[0]
		isTagged := len(pushed[0].Data) != len(data)
		if grown := len(pushed[0].Data) - len(data); isTagged && (grown != 4 || pushed[0].WireLength != packet.WireLength+4) {
			t.Fatalf("grown by %d bytes", grown)
		}
		if isTagged && (!bytes.Equal(popped.Data, data) || popped.WireLength != packet.WireLength) {
			t.Fatalf("%x becomes %x and then %x", data, pushed[0].Data, popped.Data)
		}
	})
}

package frame

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Parts of frames: two MAC addresses, an IPv4 header of UDP from 10.0.0.1 to 10.0.0.2 and
// back, ports 1000 and 53, and the same in IPv6.
const (
	macs     = "020000000001 020000000002"
	macsBack = "020000000002 020000000001"
	ipv4     = "45000020 00010000 4011 0000 0a000001 0a000002"
	ipv4Back = "45000020 00020000 4011 0000 0a000002 0a000001"
	ports    = "03e8 0035 000c 0000 00000000"
	back     = "0035 03e8 000c 0000 00000000"
	ip6      = "20010db8000000000000000000000001 20010db8000000000000000000000002"
	ip6Back  = "20010db8000000000000000000000002 20010db8000000000000000000000001"
)

// TestPacketsBetweenTwoHosts checks that frames between two hosts are in the same share.
func TestPacketsBetweenTwoHosts(t *testing.T) {
	for name, pair := range map[string][2]stream.Packet{
		"IPv4":       {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macsBack+"0800"+ipv4Back+back)},
		"VLAN":       {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"8100 0005 0800"+ipv4Back+back)},
		"QinQ":       {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"88a8 0005 8100 0007 0800"+ipv4Back+back)},
		"raw":        {ethernet(t, macs+"0800"+ipv4+ports), {Data: fromHex(t, ipv4Back+back), LinkType: stream.LinkTypeRaw}},
		"IP options": {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"0800 46000024 00020000 4011 0000 0a000002 0a000001 01010101"+back)},
		"loopback":   {ethernet(t, macs+"0800"+ipv4+ports), {Data: fromHex(t, "02000000"+ipv4Back+back), LinkType: stream.LinkTypeNull}},
		"cooked":     {ethernet(t, macs+"0800"+ipv4+ports), {Data: fromHex(t, "0000 0001 0006 0200000000010000 0800"+ipv4Back+back), LinkType: stream.LinkTypeLinuxSLL}},
		"cooked 2":   {ethernet(t, macs+"0800"+ipv4+ports), {Data: fromHex(t, "0800 0000 00000001 0001 00 06 0200000000010000"+ipv4Back+back), LinkType: stream.LinkTypeLinuxSLL2}},
		"PPP":        {ethernet(t, macs+"0800"+ipv4+ports), {Data: fromHex(t, "ff03 0021"+ipv4Back+back), LinkType: stream.LinkTypePPP}},
		"IPv6":       {ethernet(t, macs+"86dd 60000000 000c 11 40"+ip6+ports), ethernet(t, macs+"86dd 60000000 000c 11 40"+ip6Back+back)},
		"extensions": {ethernet(t, macs+"86dd 60000000 000c 11 40"+ip6+ports), ethernet(t, macs+"86dd 60000000 001c 00 40"+ip6Back+"3c00000000000000 1100000000000000"+back)},
		"MPLS":       {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"8847 00010040 00020140"+ipv4Back+back)},
		"PPPoE":      {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"8100 0005 8864 1100 0001 0022 0021"+ipv4Back+back)},
		"PPPoE 6":    {ethernet(t, macs+"86dd 60000000 000c 11 40"+ip6+ports), ethernet(t, macs+"8864 1100 0001 0036 0057 60000000 000c 11 40"+ip6Back+back)},
		"first part": {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"0800 45000020 00012000 4011 0000 0a000001 0a000002"+ports)},
		"last part":  {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"0800 45000020 00010003 4011 0000 0a000001 0a000002 00000000")},
		"first of 6": {ethernet(t, macs+"86dd 60000000 000c 11 40"+ip6+ports), ethernet(t, macs+"86dd 60000000 0014 2c 40"+ip6+"11000001 00000007"+ports)},
		"last of 6":  {ethernet(t, macs+"86dd 60000000 000c 11 40"+ip6Back+back), ethernet(t, macs+"86dd 60000000 0014 2c 40"+ip6+"11000010 00000007 00000000")},
		"ICMP":       {ethernet(t, macs+"0800"+ipv4+ports), ethernet(t, macs+"0800 45000020 00020000 4001 0000 0a000002 0a000001 0303 0000 00000000"+ipv4+ports)},
		"ARP":        {ethernet(t, macs+"0806"+"0001"), ethernet(t, macsBack+"0806"+"0002")},
	} {
		if a, b := pairHash(&pair[0]), pairHash(&pair[1]); a != b {
			t.Errorf("%s: the directions part: %x and %x", name, a, b)
		}
	}
}

func ethernet(t *testing.T, text string) stream.Packet {
	return stream.Packet{Data: fromHex(t, text), LinkType: stream.LinkTypeEthernet}
}

// TestHostsPart checks that many pairs of hosts give shares of nearly equal size, and that
// each packet is in one share.
func TestHostsPart(t *testing.T) {
	const pairs, shards = 6000, 7
	var sizes [shards]int
	for pair := range pairs {
		packet := stream.Packet{Data: lab.Frame(uint16(pair), 1, 60), LinkType: stream.LinkTypeEthernet}
		found := 0
		for i := range sizes {
			if Shard(&packet, uint32(i), shards) {
				found++
				sizes[i]++
			}
		}
		if found != 1 {
			t.Fatalf("pair %d is in %d shares", pair, found)
		}
	}
	for i, size := range sizes {
		if size < pairs/shards*8/10 || size > pairs/shards*12/10 {
			t.Errorf("share %d has %d pairs of %d", i, size, pairs)
		}
	}
}

// TestHashOfShards keeps the hash stable, because several machines, perhaps with several
// versions, take shares of one set.
func TestHashOfShards(t *testing.T) {
	packet := ethernet(t, macs+"0800"+ipv4+ports)
	const want = 0x51474bcc23ee4fa9
	if hash := pairHash(&packet); hash != want {
		t.Errorf("got %#x, wanted %#x", hash, uint64(want))
	}
}

// TestShardTakesAnything cuts frames of all kinds at every position.
func TestShardTakesAnything(t *testing.T) {
	corpus := lab.Corpus(t)
	batch := make([]stream.Packet, 64)
	packets, shards := 0, [2]int{}
	err := filepath.WalkDir(filepath.Join(corpus, "PcapPlusPlus"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		r, err := stream.Open(path)
		if err != nil {
			return err
		}
		defer r.Close()
		for {
			n, err := r.Read(batch)
			for i := range batch[:n] {
				packets++
				for shard := range shards {
					if Shard(&batch[i], uint32(shard), 2) {
						shards[shard]++
					}
				}
				whole := batch[i].Data
				for cut := range min(len(whole), 100) {
					batch[i].Data = whole[:cut:cut]
					pairHash(&batch[i])
				}
			}
			if damage := (*stream.Damage)(nil); err == io.EOF || err != nil && !errors.As(err, &damage) {
				return nil
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if packets == 0 || shards[0]+shards[1] != packets {
		t.Errorf("%d packets, but %v in the shards", packets, shards)
	}
}

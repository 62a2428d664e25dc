package rewrite

import (
	"net/netip"
	"slices"
	"testing"
)

func inRound(r *rounds, text string) string {
	address := netip.MustParseAddr(text)
	if address.Is4() {
		four := address.As4()
		moved := r.address(uint32(numberOf(four[:]).low))
		return netip.AddrFrom4([4]byte{byte(moved >> 24), byte(moved >> 16), byte(moved >> 8), byte(moved)}).String()
	}
	moved := r.address6(numberOf(address.AsSlice()))
	var sixteen [16]byte
	for i := range 8 {
		sixteen[i], sixteen[8+i] = byte(moved.high>>(56-8*i)), byte(moved.low>>(56-8*i))
	}
	return netip.AddrFrom16(sixteen).String()
}

// A round gives each IPv4 network of 256 addresses another one, and no two the same. Private
// ranges, and networks with the same first byte, stay together.
func TestARoundIsABijection(t *testing.T) {
	for _, number := range []uint64{0, 1, 1000} {
		var r rounds
		r.set(number)
		taken := make([]bool, 1<<24)
		for network := range uint32(1 << 24) {
			moved := r.address(network<<8 | 7)
			if taken[moved>>8] {
				t.Fatalf("round %d: %#x is given twice", number, moved)
			}
			taken[moved>>8] = true
			if moved>>24 != network>>16 || number == 0 && moved != network<<8|7 {
				t.Fatalf("round %d: %#x becomes %#x", number, network<<8|7, moved)
			}
			if kindOf(moved) != kindOf(network<<8) {
				t.Fatalf("round %d: %#x becomes %#x, of another kind", number, network<<8|7, moved)
			}
		}
	}
}

// kinds are ranges that no address leaves or enters.
var kinds = []struct{ first, mask uint32 }{
	{0, 0xff000000}, {10 << 24, 0xff000000}, {100<<24 | 64<<16, 0xffc00000}, {127 << 24, 0xff000000},
	{169<<24 | 254<<16, 0xffff0000}, {172<<24 | 16<<16, 0xfff00000}, {192<<24 | 168<<16, 0xffff0000}, {224 << 24, 0xe0000000},
}

// kindOf is the number of the range of an address, or 0.
func kindOf(address uint32) int {
	for i, kind := range kinds {
		if address&kind.mask == kind.first {
			return i + 1
		}
	}
	return 0
}

// Special addresses, such as multicast and loopback, do not change, and no other address
// becomes one.
func TestSpecialAddressesStay(t *testing.T) {
	for _, number := range []uint64{0, 1, 255, 256, 1 << 32} {
		var r rounds
		r.set(number)
		for _, address := range []string{
			"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.255.255", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
			"::", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1", "febf:1::1", "ff02::1", "ffff::1",
		} {
			if got := inRound(&r, address); got != netip.MustParseAddr(address).String() {
				t.Errorf("round %d: %s becomes %s", number, address, got)
			}
		}
	}
}

func TestNetworksKeepTheirHosts(t *testing.T) {
	var r rounds
	r.set(1)
	for from, to := range map[string]string{
		"192.168.1.1": "192.168.160.1", "192.168.1.255": "192.168.160.255", "192.168.200.9": "192.168.103.9", "10.0.0.1": "10.158.55.1",
		"172.16.0.1": "172.25.227.1", "8.8.8.8": "8.166.63.8", "192.0.2.1": "192.103.215.1", "223.255.255.255": "223.158.54.255",
		"2001:db8::1": "2001:db8:9e37:79b9::1", "fd00:1:2:3::4": "fd00:1:9e39:79bc::4",
	} {
		if got := inRound(&r, from); got != to {
			t.Errorf("%s becomes %s, wanted %s", from, got, to)
		}
	}
}

// meeting is the first round in which adjacent networks of a block meet those of an earlier
// one, counted from 1.
func meeting(step, size uint64, networks uint64) uint64 {
	for round := uint64(1); round < size; round++ {
		if apart := round * step % size; min(apart, size-apart) < networks {
			return round + 1
		}
	}
	return size + 1
}

// The table in pcap-replay(7).
func TestRoundsDoNotMeetForLong(t *testing.T) {
	var got []uint64
	for _, c := range []struct{ size, networks uint64 }{
		{1 << 8, 1}, {1 << 8, 4}, {1 << 8, 16}, {1 << 12, 16}, {1 << 12, 256}, {1 << 16, 16}, {1 << 16, 256}, {1 << 16, 4096},
	} {
		got = append(got, meeting(uint64(goldenStep(uint32(c.size))), c.size, c.networks)-1)
	}
	if want := []uint64{256, 29, 8, 212, 8, 233, 233, 8}; !slices.Equal(got, want) {
		t.Errorf("%v rounds, wanted %v", got, want)
	}
	if rounds := meeting(golden6, 1<<32, 65536) - 1; rounds != 28657 {
		t.Errorf("IPv6: %d rounds", rounds)
	}
}

// After as many rounds as a block has networks, hosts move on, too.
func TestRoundsDoNotRepeatSoon(t *testing.T) {
	seen := map[string]bool{}
	var r rounds
	for number := range uint64(1 << 16) {
		r.set(number)
		address := inRound(&r, "192.168.3.4")
		if seen[address] {
			t.Fatalf("round %d: %s again", number, address)
		}
		seen[address] = true
	}
}

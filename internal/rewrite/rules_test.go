package rewrite

import (
	"net/netip"
	"strings"
	"testing"
)

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []struct {
		flag, values, want string
	}{
		{"map", "10.0.0.0/8", `--map "10.0.0.0/8": wanted OLD=NEW, two networks such as`},
		{"map", "10.0.0.0/8=20.0.0.0/16", `--map "10.0.0.0/8=20.0.0.0/16": prefixes of 8 and 16 bits: wanted equal lengths`},
		{"map", "10.0.0.0/8=fd00::/8", `an IPv4 and an IPv6 network`},
		{"map", "10.0.0.1/8=20.0.0.0/8", `10.0.0.1/8 has bits after its prefix: wanted the network 10.0.0.0/8 or the address 10.0.0.1`},
		{"map", "10.0.0.0/8=20.0.0.0/8 10.0.0.0/8=30.0.0.0/8", `--map "10.0.0.0/8=30.0.0.0/8": the rule "10.0.0.0/8=20.0.0.0/8" replaces the same value: wanted one of them`},
		{"map", "fe80::1%eth0=fe80::2", `wanted OLD=NEW`},
		{"map", "0.0.0.0/0=1.0.0.0/0", `1.0.0.0/0 has bits after its prefix: wanted the network 0.0.0.0/0 or the address 1.0.0.0`},
		{"src-mac", "02:00", `--src-mac "02:00": wanted a MAC address such as 02:00:00:00:00:01`},
		{"dst-mac", "02:00:00:00:00:00:00:01", `wanted a MAC address`},
		{"mac", "02:00:00:00:00:01", `--mac "02:00:00:00:00:01": wanted OLD=NEW, two MAC addresses such as 02:00:00:00:00:01=02:00:00:00:00:02`},
		{"mac", "02:00:00:00:00:01=02:00:00:00:00:02 02-00-00-00-00-01=02:00:00:00:00:03", `replaces the same value`},
		{"port", "80", `--port "80": wanted OLD=NEW, two ports from 0 to 65535 such as 80=8080`},
		{"port", "80=65536", `wanted OLD=NEW`},
		{"port", "-1=80", `wanted OLD=NEW`},
		{"port", "80=81 80=82", `--port "80=82": the rule "80=81" replaces the same value`},
		{"vlan", "push", `--vlan "push": wanted push:ID, pop or OLD=NEW with identifiers from 0 to 4094`},
		{"vlan", "push:4095", `wanted an identifier from 0 to 4094`},
		{"vlan", "1=4095", `wanted push:ID, pop or OLD=NEW`},
		{"vlan", "push:1 pop", `--vlan "pop": wanted only one pop or push:ID`},
		{"vlan", "1=2 1=3", `replaces the same value`},
	} {
		_, err := New(map[string][]string{c.flag: strings.Fields(c.values)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("--%s %s: %v, wanted %s", c.flag, c.values, err, c.want)
		}
	}
}

// Of networks one in the other, the longest prefix counts, in any order of the flags.
func TestTheLongestPrefixCounts(t *testing.T) {
	rules := []string{"10.0.0.0/8=20.0.0.0/8", "10.1.0.0/16=30.9.0.0/16", "10.1.2.3=1.2.3.4", "128.0.0.0/1=0.0.0.0/1", "fd00::/16=fd01::/16", "fd00:0:0:1::/64=2001:db8::/64", "ff00::/8=fe00::/8"}
	want := map[string]string{
		"9.255.255.255": "9.255.255.255", "10.0.0.0": "20.0.0.0", "10.0.255.255": "20.0.255.255", "10.1.0.0": "30.9.0.0", "10.1.2.2": "30.9.2.2",
		"10.1.2.3": "1.2.3.4", "10.1.2.4": "30.9.2.4", "10.1.255.255": "30.9.255.255", "10.2.0.0": "20.2.0.0", "10.255.255.255": "20.255.255.255",
		"11.0.0.0": "11.0.0.0", "127.255.255.255": "127.255.255.255", "128.0.0.0": "0.0.0.0", "255.255.255.255": "127.255.255.255", "0.0.0.0": "0.0.0.0",
		"fd00::1": "fd01::1", "fd00:0:0:1::9": "2001:db8::9", "fd00:0:0:2::9": "fd01:0:0:2::9", "fcff::": "fcff::", "fd01::": "fd01::",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::": "::",
	}
	for range 2 {
		r, err := New(map[string][]string{"map": rules})
		if err != nil {
			t.Fatal(err)
		}
		for from, to := range want {
			address := netip.MustParseAddr(from)
			field := address.AsSlice()
			if address.Is4() {
				r.rewriteAddress(field)
			} else {
				r.rewriteAddress6(field)
			}
			if got, _ := netip.AddrFromSlice(field); got.String() != to {
				t.Errorf("%s becomes %s, wanted %s", from, got, to)
			}
		}
		for i, j := 0, len(rules)-1; i < j; i, j = i+1, j-1 {
			rules[i], rules[j] = rules[j], rules[i]
		}
	}
}

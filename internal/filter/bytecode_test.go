package filter

import (
	"strings"
	"testing"

	"pcap-replay/stream"
)

func TestBytecode(t *testing.T) {
	oracle := newLibpcap(t)
	for _, expression := range []string{"tcp port 80", "ip[ip[0] & 15] > len / 3", "geneve and tcp", "wlan host 1:2:3:4:5:6"} {
		link := stream.LinkTypeEthernet
		if strings.HasPrefix(expression, "wlan") {
			link = stream.LinkTypeIEEE80211Radio
		}
		text, err := oracle.output(expression, link)
		if err != nil {
			t.Fatal(err)
		}
		program, err := ParseBytecode(strings.NewReader(string(text)))
		if err != nil {
			t.Errorf("%q: %v", expression, err)
			continue
		}
		reference, err := parseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		if differ, first := compareOn(packetsFor(t, link), program, reference); differ > 0 {
			t.Errorf("%q: %d packets differ; %s", expression, differ, first)
		}
	}
}

func TestBytecodeIsChecked(t *testing.T) {
	const accept = "\n6 0 0 1\n"
	for text, want := range map[string]string{
		"":                             "is empty",
		"x":                            `"x": wanted the number of instructions`,
		"0":                            "0 instructions, wanted 1 to 4096",
		"4097":                         "4097 instructions, wanted 1 to 4096",
		"2" + accept:                   "1 instruction, wanted 2",
		"1" + accept + "6 0 0 1":       "2 instructions, wanted 1",
		"2\n48 0 0" + accept:           `instruction 0: "48 0 0": wanted code, jt, jf and k`,
		"2\n48 0 256 0" + accept:       `instruction 0: "256": wanted a number of 8 bits`,
		"2\n255 0 0 0" + accept:        "instruction 0: code 0xff is unknown",
		"1\n48 0 0 0":                  "instruction 0: is the last one, but does not return",
		"2\n52 0 0 0" + accept:         "instruction 0: divides by zero",
		"2\n148 0 0 0" + accept:        "instruction 0: divides by zero",
		"2\n100 0 0 32" + accept:       "instruction 0: shifts by 32 bits, but at most 31 are possible",
		"2\n2 0 0 16" + accept:         "instruction 0: word 16 of memory: there are 16",
		"2\n21 0 1 0" + accept:         "instruction 0: jumps past the end, by 0 or 1",
		"2\n5 0 0 1" + accept:          "instruction 0: jumps backward or past the end, by 1",
		"2\n5 0 0 4294967295" + accept: "instruction 0: jumps backward or past the end, by -1",
		"2\n96 0 0 3" + accept:         "instruction 0: loads word 3 of memory, which may not have been stored",
		"4\n21 0 1 0\n2 0 0 3\n96 0 0 3" + accept: "instruction 2: loads word 3 of memory, which may not have been stored",
		"2\n40 0 0 4294963200" + accept:           "instruction 0: uses data that only the capturing kernel has; compile with tcpdump -r FILE -ddd",
	} {
		_, err := ParseBytecode(strings.NewReader(text))
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, wanted %s", text, err, want)
		}
	}
}

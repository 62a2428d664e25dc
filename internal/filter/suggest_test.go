package filter

import (
	"errors"
	"testing"
)

func TestSuggestions(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8":         `did you mean "net 10.0.0.0/8"?`,
		"not 10.0.0.0/8":     `did you mean "net 10.0.0.0/8"?`,
		"(10.0.0.1) and tcp": `did you mean "host 10.0.0.1"?`,
		"10.0":               `did you mean "net 10.0"?`,
		"2001:db8::/32":      `did you mean "net 2001:db8::/32"?`,
		"2001:db8::1":        `did you mean "host 2001:db8::1"?`,
		"2:0:0:0:0:1":        `did you mean "ether host 2:0:0:0:0:1"?`,
		"src 10.0.0.0/8":     `did you mean "net 10.0.0.0/8"?`,
		"net 10.0.0.1/8":     `did you mean "net 10.0.0.0/8"?`,
		"443":                `did you mean "port 443"?`,
		"tcp 443":            `did you mean "port 443"?`,
		"https":              `did you mean "port https"?`,
		"tcp.port == 80":     `tcp.port is for display filters of Wireshark (tshark -Y); filters here have the syntax of pcap-filter(7), such as host 10.0.0.1`,
		"ip.addr==10.0.0.1":  `ip.addr is for display filters of Wireshark (tshark -Y); filters here have the syntax of pcap-filter(7), such as host 10.0.0.1`,
		"udp prot 53":        "",
		"host":               "",
		"nosuchname":         "",
		"udp port 70000":     "",
		"tcp[13":             "",
		"\\":                 "",
	} {
		_, err := Parse(text)
		var refusal *SyntaxError
		if !errors.As(err, &refusal) {
			t.Errorf("%s: %v", text, err)
		} else if refusal.Hint() != want {
			t.Errorf("%s: hint %q, wanted %q", text, refusal.Hint(), want)
		}
	}
}

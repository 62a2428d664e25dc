package filter

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// displayField matches a field of the display filters of Wireshark, such as ip.addr.
var displayField = regexp.MustCompile(`^(arp|dns|eth|frame|http|icmp|icmpv6|ip|ipv6|sctp|tcp|tls|udp|vlan)\.[a-z_.]*[a-z]([=<>!~]|$)`)

// Reasons that suggest knows, besides those that begin with "wanted".
const (
	reasonMask     = "a mask needs net"
	reasonHostBits = "has bits outside its mask"
)

// suggest adds a hint to the error of an expression: what the user may have meant by an
// address, a port or a service that nothing qualifies.
func (e *SyntaxError) suggest(text string) {
	switch word := e.wordIn(text); {
	case !strings.HasPrefix(e.Reason, "wanted ") && e.Reason != reasonMask && e.Reason != reasonHostBits:
	case displayField.MatchString(word):
		word = strings.TrimRight(displayField.FindString(word), "=<>!~")
		e.hint = fmt.Sprintf("%s is for display filters of Wireshark (tshark -Y); filters here have the syntax of pcap-filter(7), such as host 10.0.0.1", word)
	default:
		if meant := qualify(word); meant != "" {
			e.hint = fmt.Sprintf("did you mean %q?", meant)
		}
	}
}

// wordIn returns the word of the expression at which the error is, up to the next space or
// parenthesis. At the end of the expression, it is the last word.
func (e *SyntaxError) wordIn(text string) string {
	rest := ""
	if e.Column <= len(text) {
		rest = text[e.Column-1:]
	}
	if e.Word == "" {
		rest = text[strings.LastIndexAny(text, " \t\r\n()")+1:]
	}
	if end := strings.IndexAny(rest, " \t\r\n()"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// qualify puts the qualifier before a word that it needs. It returns "" if the word is
// neither an address nor a port nor a service.
func qualify(word string) string {
	if network, err := netip.ParsePrefix(word); err == nil {
		return "net " + network.Masked().String()
	}
	if _, err := netip.ParseAddr(word); err == nil {
		return "host " + word
	}
	if word != "" && dottedLength(word, 2) == len(word) {
		return "net " + word // 10.0.0 is a network of 24 bits
	}
	if length := macLength(word); length > 0 && length == len(word) {
		return "ether host " + word
	}
	if _, err := strconv.ParseUint(word, 10, 16); err == nil {
		return "port " + word
	}
	if _, _, isService := serviceByName(word); isService {
		return "port " + word
	}
	return ""
}

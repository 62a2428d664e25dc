package filter

import (
	"fmt"
	"strings"
)

// tokenKind is the kind of a token in the grammar.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a keyword or an operator
	tokenNumber           // also a named constant such as tcp-syn
	tokenName             // of a host, a port, a protocol, ...
	tokenIPv4             // two to four numbers with dots between them
	tokenIPv6
	tokenMAC
	tokenIllegal // not a token; reason says why
)

// token is one word of an expression.
type token struct {
	kind   tokenKind
	text   string // as it was written
	word   string // of a keyword or operator: its first spelling in keywords
	number uint32
	column int // in bytes from 1
	reason string
}

func (t token) is(word string) bool { return t.kind == tokenWord && t.word == word }

// name is the text without the backslash that keeps it from being a keyword.
func (t token) name() string { return strings.TrimPrefix(t.text, `\`) }

// refuse returns an error that points at the token.
func (t token) refuse(format string, values ...any) *SyntaxError {
	return &SyntaxError{Column: t.column, Word: t.text, Reason: fmt.Sprintf(format, values...)}
}

// keywords has the reserved words and the operators. Words on the same line have the same
// meaning, and tokens have the first of them.
var keywords = index(`
link ether ppp slip fddi tr wlan
ip
ip6
arp
rarp
tcp
udp
sctp
icmp
icmp6
igmp
igrp
pim
vrrp
carp
ah
esp
atalk
aarp
decnet
lat
sca
moprc
mopdl
iso
esis es-is
isis is-is
clnp
l1
l2
iih
lsp
snp
csnp
psnp
stp
ipx
netbeui
radio
src
dst
addr1 address1
addr2 address2
addr3 address3
addr4 address4
ra
ta
host
net
port
portrange
proto
protochain
gateway
mask
broadcast
multicast
less
greater
byte
inbound
outbound
ifindex
vlan
mpls
pppoed
pppoes
geneve
vxlan
type
subtype
dir direction
llc
len length
and &&
or ||
not !
on ifname
rset ruleset
rnr rulenum
srnr subrulenum
reason
action
lane
metac
bcc
oam
oamf4
oamf4ec
oamf4sc
sc
ilmic
vpi
vci
connectmsg
metaconnect
fisu
lssu lsu
msu
hfisu
hlssu
hmsu
sio
opc
dpc
sls
hsio
hopc
hdpc
hsls
= ==
!=
<
<=
>
>=
<<
>>
+
-
*
/
%
&
|
^
:
(
)
[
]
`)

// index maps each word to the first one on its line.
func index(lines string) map[string]string {
	words := map[string]string{}
	for line := range strings.Lines(lines) {
		for _, word := range strings.Fields(line) {
			words[word] = strings.Fields(line)[0]
		}
	}
	return words
}

// namedConstants are the offsets and values of pcap-filter(7).
var namedConstants = map[string]uint32{
	"icmptype": 0, "icmpcode": 1,
	"icmp-echoreply": 0, "icmp-unreach": 3, "icmp-sourcequench": 4, "icmp-redirect": 5, "icmp-echo": 8,
	"icmp-routeradvert": 9, "icmp-routersolicit": 10, "icmp-timxceed": 11, "icmp-paramprob": 12,
	"icmp-tstamp": 13, "icmp-tstampreply": 14, "icmp-ireq": 15, "icmp-ireqreply": 16,
	"icmp-maskreq": 17, "icmp-maskreply": 18,
	"icmp6type": 0, "icmp6code": 1,
	"icmp6-destinationunreach": 1, "icmp6-packettoobig": 2, "icmp6-timeexceeded": 3, "icmp6-parameterproblem": 4,
	"icmp6-echo": 128, "icmp6-echoreply": 129, "icmp6-multicastlistenerquery": 130,
	"icmp6-multicastlistenerreportv1": 131, "icmp6-multicastlistenerdone": 132, "icmp6-routersolicit": 133,
	"icmp6-routeradvert": 134, "icmp6-neighborsolicit": 135, "icmp6-neighboradvert": 136, "icmp6-redirect": 137,
	"icmp6-routerrenum": 138, "icmp6-nodeinformationquery": 139, "icmp6-nodeinformationresponse": 140,
	"icmp6-ineighbordiscoverysolicit": 141, "icmp6-ineighbordiscoveryadvert": 142,
	"icmp6-multicastlistenerreportv2": 143, "icmp6-homeagentdiscoveryrequest": 144,
	"icmp6-homeagentdiscoveryreply": 145, "icmp6-mobileprefixsolicit": 146, "icmp6-mobileprefixadvert": 147,
	"icmp6-certpathsolicit": 148, "icmp6-certpathadvert": 149, "icmp6-multicastrouteradvert": 151,
	"icmp6-multicastroutersolicit": 152, "icmp6-multicastrouterterm": 153,
	"tcpflags": 13, "tcp-fin": 1, "tcp-syn": 2, "tcp-rst": 4, "tcp-push": 8, "tcp-ack": 16, "tcp-urg": 32,
	"tcp-ece": 64, "tcp-cwr": 128,
}

// tokens splits an expression. The last token is of kind tokenEnd.
func tokens(text string) []token {
	var tokens []token
	for at := 0; ; {
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		if at == len(text) {
			return append(tokens, token{kind: tokenEnd, column: at + 1})
		}
		t := nextToken(text[at:])
		t.column = at + 1
		tokens = append(tokens, t)
		at += len(t.text)
	}
}

// nextToken reads the token at the start of text. Like lex, it takes the longest match, and
// the first of several with equal length.
func nextToken(text string) token {
	if text[0] == '\\' {
		return escapedName(text)
	}
	var longest token
	take := func(kind tokenKind, length int) {
		if length > len(longest.text) {
			longest = token{kind: kind, text: text[:length]}
		}
	}
	take(tokenMAC, macLength(text))
	take(tokenNumber, numberLength(text))
	take(tokenIPv4, dottedLength(text, 2))
	take(tokenIPv6, ipv6Length(text))
	take(tokenName, nameLength(text))
	switch word, isKeyword := keywords[longest.text]; {
	case isKeyword:
		longest.kind, longest.word = tokenWord, word
	case longest.kind == tokenNumber:
		longest.number, longest.reason = parseNumber(longest.text)
		if longest.reason != "" {
			longest.kind = tokenIllegal
		}
	case longest.kind == tokenName:
		if value, ok := namedConstants[longest.text]; ok {
			longest.kind, longest.number = tokenNumber, value
		}
	case longest.text == "":
		return operator(text)
	}
	return longest
}

// escapedName reads a name that would be a keyword without the backslash.
func escapedName(text string) token {
	length := strings.IndexAny(text, " !()\n\t")
	if length < 0 {
		length = len(text)
	}
	if length == 1 {
		return token{kind: tokenIllegal, text: text[:1], reason: "no name after the backslash"}
	}
	return token{kind: tokenName, text: text[:length]}
}

func operator(text string) token {
	for length := min(2, len(text)); length > 0; length-- {
		if word, ok := keywords[text[:length]]; ok {
			return token{kind: tokenWord, text: text[:length], word: word}
		}
	}
	for length := range text { // the whole first character, even if it is not ASCII
		if length > 0 {
			return token{kind: tokenIllegal, text: text[:length], reason: "unexpected character"}
		}
	}
	return token{kind: tokenIllegal, text: text, reason: "unexpected character"}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// run returns the number of leading bytes that satisfy is.
func run(text string, is func(byte) bool) int {
	n := 0
	for n < len(text) && is(text[n]) {
		n++
	}
	return n
}

// nameLength returns the length of a name: letters, digits, dots, hyphens and underscores.
// Hyphens and underscores may not be at its ends.
func nameLength(text string) int {
	length := run(text, func(c byte) bool { return isAlpha(c) || isDigit(c) || c == '.' || c == '-' || c == '_' })
	length = len(strings.TrimRight(text[:length], "-_"))
	if length == 0 || text[0] == '.' || text[0] == '-' || text[0] == '_' {
		return 0
	}
	return length
}

// numberLength returns the length of a decimal, octal or hexadecimal (0x) number.
func numberLength(text string) int {
	if len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'x' && isHex(text[2]) {
		return 2 + run(text[2:], isHex)
	}
	return run(text, isDigit)
}

func parseNumber(text string) (number uint32, reason string) {
	digits, base, name := text, uint64(10), "decimal"
	switch {
	case len(text) > 1 && text[1]|0x20 == 'x':
		digits, base, name = text[2:], 16, "hexadecimal"
	case text[0] == '0':
		base, name = 8, "octal"
	}
	n := uint64(0)
	for i := range len(digits) {
		digit := uint64(strings.IndexByte("0123456789abcdef", digits[i]|0x20))
		if isDigit(digits[i]) {
			digit = uint64(digits[i] - '0')
		}
		if digit >= base {
			return 0, fmt.Sprintf("%q is not an octal digit", digits[i])
		}
		if n = n*base + digit; n > 0xffffffff {
			return 0, name + " number over 32 bits"
		}
	}
	return uint32(n), ""
}

// dottedLength returns the length of least to four numbers with dots between them.
func dottedLength(text string, least int) int {
	length := 0
	for n := 1; n <= 4; n++ {
		digits := numberLength(text[length:])
		if digits == 0 {
			return 0
		}
		length += digits
		if n == 4 || length+1 >= len(text) || text[length] != '.' || numberLength(text[length+1:]) == 0 {
			if n < least {
				return 0
			}
			return length
		}
		length++
	}
	return length
}

// macLength returns the length of a MAC address: 1:2:3:4:5:6 (also with - or .),
// 0102.0304.0506 or 010203040506.
func macLength(text string) int {
	if length := groups(text, 6, 1, 2, ":-."); length > 0 {
		return length
	}
	if length := groups(text, 3, 4, 4, "."); length > 0 {
		return length
	}
	if run(text[:min(12, len(text))], isHex) == 12 {
		return 12
	}
	return 0
}

// groups returns the length of count groups of least to most hexadecimal digits with the
// same separator between them.
func groups(text string, count, least, most int, separators string) int {
	at, separator := 0, byte(0)
	for n := range count {
		if n > 0 {
			if at == len(text) || strings.IndexByte(separators, text[at]) < 0 || n > 1 && text[at] != separator {
				return 0
			}
			separator = text[at]
			at++
		}
		digits := run(text[at:min(at+most, len(text))], isHex)
		if digits < least {
			return 0
		}
		at += digits
	}
	return at
}

// ipv6Length returns the length of an IPv6 address: eight groups, or up to seven with one
// ::. The last two groups may be written as an IPv4 address.
func ipv6Length(text string) int {
	at, count, gap, length := 0, 0, false, 0
	if strings.HasPrefix(text, "::") {
		at, gap, length = 2, true, 2
	}
	for count < 8 {
		digits := run(text[at:min(at+4, len(text))], isHex)
		if tail := dottedLength(text[at:], 4); tail > 0 && (count == 6 && !gap || count <= 5 && gap) {
			return at + tail
		}
		if digits == 0 {
			return length
		}
		at, count = at+digits, count+1
		if count == 8 && !gap || count <= 7 && gap {
			length = at
		}
		switch {
		case strings.HasPrefix(text[at:], "::") && !gap && count < 8:
			at, gap = at+2, true
			length = at
		case strings.HasPrefix(text[at:], ":"):
			at++
		default:
			return length
		}
	}
	return length
}

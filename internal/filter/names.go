package filter

import (
	"bufio"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The files in which names are looked up. There is no other source, because a filter must
// mean the same in every run and must not wait for a name server.
var (
	hostsFile     = "/etc/hosts"
	networksFile  = "/etc/networks"
	ethersFile    = "/etc/ethers"
	servicesFile  = "/etc/services"
	protocolsFile = "/etc/protocols"
)

// fileLines returns the words of each line of a file, without comments. A file that
// is not there has none.
func fileLines(name string) [][]string {
	file, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer file.Close()
	return splitLines(bufio.NewScanner(file))
}

func splitLines(lines *bufio.Scanner) (split [][]string) {
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if words := strings.Fields(text); len(words) > 1 {
			split = append(split, words)
		}
	}
	return split
}

// hostsByName returns the addresses of a host, in the order of the file.
func hostsByName(name string) (addresses []netip.Addr) {
	for _, line := range fileLines(hostsFile) {
		address, err := netip.ParseAddr(line[0])
		if err == nil && address.Zone() == "" && containsFold(line[1:], name) {
			addresses = append(addresses, address.Unmap())
		}
	}
	return addresses
}

func containsFold(words []string, name string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.EqualFold(word, name) })
}

// etherByName returns the MAC address of a host.
func etherByName(name string) (address []byte, ok bool) {
	for _, line := range fileLines(ethersFile) {
		if macLength(line[0]) == len(line[0]) && containsFold(line[1:], name) {
			return parseMAC(line[0]), true
		}
	}
	return nil, false
}

// networkByName returns the number of a network as it is in the file: with
// zeros at its end it is as long as an address.
func networkByName(name string) (number uint32, ok bool) {
	for _, line := range fileLines(networksFile) {
		if !strings.EqualFold(line[0], name) && !containsFold(line[2:], name) {
			continue
		}
		for part := range strings.SplitSeq(line[1], ".") {
			n, err := strconv.ParseUint(part, 10, 8)
			if err != nil {
				return 0, false
			}
			number = number<<8 | uint32(n)
		}
		return number, number != 0
	}
	return 0, false
}

// serviceByName returns the port of a service, and the protocol if it is known for
// TCP only or UDP only, else 0. The name may be a number.
func serviceByName(name string) (port, protocol uint32, ok bool) {
	if name != "" && numberLength(name) == len(name) {
		port, reason := parseNumber(name)
		return port, 0, reason == ""
	}
	lines := append(fileLines(servicesFile), splitLines(bufio.NewScanner(strings.NewReader(wellKnownServices)))...)
	ports := map[string]uint32{}
	for _, line := range lines {
		number, transport, _ := strings.Cut(line[1], "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || line[0] != name && !slices.Contains(line[2:], name) {
			continue
		}
		if _, known := ports[transport]; !known {
			ports[transport] = uint32(n)
		}
	}
	tcp, hasTCP := ports["tcp"]
	udp, hasUDP := ports["udp"]
	switch {
	case hasTCP && hasUDP && tcp == udp:
		return tcp, 0, true
	case hasTCP:
		return tcp, protocolTCP, true
	case hasUDP:
		return udp, protocolUDP, true
	}
	return 0, 0, false
}

// protocolByName returns the number of a protocol of IP.
func protocolByName(name string) (number uint32, ok bool) {
	for _, line := range append(fileLines(protocolsFile), splitLines(bufio.NewScanner(strings.NewReader(wellKnownProtocols)))...) {
		n, err := strconv.ParseUint(line[1], 10, 32)
		if err == nil && (line[0] == name || slices.Contains(line[2:], name)) {
			return uint32(n), true
		}
	}
	return 0, false
}

// wellKnownServices replace /etc/services if it is missing or does not have a name. They
// are as IANA assigned them. A service that uses only one protocol is listed only for that
// one.
const wellKnownServices = `
echo 7/tcp
echo 7/udp
discard 9/tcp
discard 9/udp
daytime 13/tcp
daytime 13/udp
chargen 19/tcp
chargen 19/udp
ftp-data 20/tcp
ftp 21/tcp
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp mail
time 37/tcp
time 37/udp
whois 43/tcp
tacacs 49/tcp
tacacs 49/udp
domain 53/tcp
domain 53/udp
bootps 67/udp
bootpc 68/udp
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp www
kerberos 88/tcp
kerberos 88/udp
pop3 110/tcp
sunrpc 111/tcp portmapper
sunrpc 111/udp portmapper
auth 113/tcp ident
nntp 119/tcp
ntp 123/udp
netbios-ns 137/udp
netbios-dgm 138/udp
netbios-ssn 139/tcp
imap2 143/tcp imap
snmp 161/tcp
snmp 161/udp
snmp-trap 162/tcp snmptrap
snmp-trap 162/udp snmptrap
bgp 179/tcp
irc 194/tcp
irc 194/udp
ldap 389/tcp
ldap 389/udp
https 443/tcp
https 443/udp
microsoft-ds 445/tcp
microsoft-ds 445/udp
submissions 465/tcp smtps
isakmp 500/udp
syslog 514/udp
printer 515/tcp
submission 587/tcp
ldaps 636/tcp
ldaps 636/udp
domain-s 853/tcp
domain-s 853/udp
ftps 990/tcp
imaps 993/tcp
pop3s 995/tcp
socks 1080/tcp
openvpn 1194/tcp
openvpn 1194/udp
ms-sql-s 1433/tcp
radius 1812/tcp
radius 1812/udp
radius-acct 1813/tcp
radius-acct 1813/udp
nfs 2049/tcp
nfs 2049/udp
mysql 3306/tcp
ipsec-nat-t 4500/udp
sip 5060/tcp
sip 5060/udp
sip-tls 5061/tcp
sip-tls 5061/udp
xmpp-client 5222/tcp
mdns 5353/udp
postgresql 5432/tcp
amqp 5672/tcp
amqp 5672/sctp
redis 6379/tcp
http-alt 8080/tcp webcache
http-alt 8080/udp
`

// wellKnownProtocols do the same for /etc/protocols.
const wellKnownProtocols = `
ip 0 IP
icmp 1 ICMP
igmp 2 IGMP
ggp 3 GGP
ipencap 4 IP-ENCAP
st 5 ST
tcp 6 TCP
egp 8 EGP
igp 9 IGP
pup 12 PUP
udp 17 UDP
hmp 20 HMP
rdp 27 RDP
dccp 33 DCCP
ipv6 41 IPv6
ipv6-route 43 IPv6-Route
ipv6-frag 44 IPv6-Frag
idrp 45 IDRP
rsvp 46 RSVP
gre 47 GRE
esp 50 IPSEC-ESP
ah 51 IPSEC-AH
ipv6-icmp 58 IPv6-ICMP
ipv6-nonxt 59 IPv6-NoNxt
ipv6-opts 60 IPv6-Opts
eigrp 88 EIGRP
ospf 89 OSPFIGP
ipip 94 IPIP
etherip 97 ETHERIP
encap 98 ENCAP
pim 103 PIM
ipcomp 108 IPCOMP
vrrp 112 VRRP
l2tp 115 L2TP
isis 124 ISIS
sctp 132 SCTP
mobility-header 135 Mobility-Header
udplite 136 UDPLite
mpls-in-ip 137 MPLS-in-IP
`

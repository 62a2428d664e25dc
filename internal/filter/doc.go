// Package filter implements the expressions of pcap-filter(7), which tcpdump uses, in pure
// Go. An expression is parsed once, and compiled for each link type that occurs. It selects
// the packets that libpcap would select from a file.
//
// # Expressions
//
// An expression consists of primitives, joined by and (&&), or (||) and not (!), with
// parentheses. And and or have the same precedence and are evaluated from left to right;
// not has a higher precedence. The empty expression matches every packet.
//
// Most primitives are an identifier with qualifiers before it:
//
//	[protocol] [direction] kind identifier
//
// The kind is host (the default if there is a direction), net, port, portrange, proto,
// protochain or gateway. The direction is src, dst, "src or dst" (the default) or "src and
// dst"; for MAC addresses of 802.11, it may also be addr1 to addr4, ra or ta. An identifier
// without qualifiers has those of the previous one: "port 80 or 443", "host a and not b",
// "tcp port (80 or 443)".
//
//	host 10.0.0.1, host ::1, host NAME      with ip, ip6, arp, rarp, or none of them
//	net 10.0.0.0/8, net 192.168, net fe80::/10, net 10.0.0.0 mask 255.0.0.0
//	ether host 1:2:3:4:5:6                  also 1-2-3-4-5-6, 0102.0304.0506, 010203040506
//	port 80, port http, portrange 6000-6008 with tcp, udp, sctp, or none of them
//	proto 6, proto \tcp                     with ip, ip6, ether, iso, isis; none is ip or ip6
//	protochain 6                            after extension headers; with ip, ip6
//	gateway NAME                            the MAC address of a host, but not its IPv4 address
//	decnet host 10.15
//
// A protocol by itself matches all packets of the protocol: ip, ip6, arp, rarp, tcp, udp,
// sctp, icmp, icmp6, igmp, igrp, pim, vrrp, carp, ah, esp, atalk, aarp, decnet, lat, sca,
// mopdl, moprc, iso, clnp, esis, isis, l1, l2, iih, lsp, snp, csnp, psnp, stp, ipx,
// netbeui. Ether means the link layer, and so do link, fddi, tr, wlan, ppp and slip.
//
//	[ether|ip] broadcast, [ether|ip|ip6] multicast
//	less N, greater N             the length on the wire; both take N itself
//	byte I = N                    the same as link[I] = N; also < > & |
//	llc [i|s|u|rr|rnr|rej|ui|ua|disc|dm|sabme|test|xid|frmr]
//	inbound, outbound             where the link type tells: LINUX_SLL, LINUX_SLL2
//	ifindex N                     LINUX_SLL2
//	type mgt [subtype beacon], subtype beacon, dir tods      802.11
//	vlan [N], mpls [N], pppoed, pppoes [N], geneve [N], vxlan [N]
//
// Everything that follows vlan, mpls, pppoes, geneve or vxlan in the text applies to the
// inner packet, even after or: "vlan and vlan 5", "(vlan and tcp) or udp".
//
// # Arithmetic
//
// Two numbers are compared with = (==), !=, <, <=, > or >=. A number is
//
//	5, 0x1f, 017, or a named constant, such as tcp-syn, tcpflags, icmp-echo, icmptype
//	len                           the length on the wire
//	protocol[offset:size]         size bytes, 1, 2 or 4 (1 if not given), in network byte order
//
// or numbers joined by + - * / % & | ^ << >> or preceded by a minus, in unsigned 32 bits.
// The precedence from the lowest to the highest is: |, &, shifts, + and -, * and /. The
// right operand of % and ^ is everything that follows.
//
// The offset counts from the header of the protocol: that of the link layer (ether, link,
// ...), of the radio (radio), of the network layer (ip, ip6, arp, rarp, atalk, decnet, lat,
// sca, mopdl, moprc), of the transport layer in IPv4 (tcp, udp, sctp, icmp, igmp, igrp,
// pim, vrrp, carp), or from the end of an IPv6 header without extension headers (icmp6).
// The packet must be of the protocol. For the transport layer, it must not be a later
// fragment. This check is not made for the right operand of an operator: "len - ip[2:2] >
// 14" also reads packets that are not IP.
//
// A load beyond the captured bytes rejects the packet, even under not, and so does a
// division by 0. Constant divisions by 0 and shifts by more than 31 bits are refused.
//
// # Limits
//
// An expression has up to 1 MiB, 1,024 terms, and 10,000 operators of arithmetic. 64 and
// more addresses and networks with the same qualifiers, joined by or, are one term: they
// become a table, in which an address is found in the same time however many there are.
// Of a packet that is cut within its addresses, the source is then looked for among all of
// them before the destination is loaded.
//
// # Names
//
// Host names come from /etc/hosts, MAC addresses from /etc/ethers, networks from
// /etc/networks, services from /etc/services, and protocols from /etc/protocols. No name
// server is asked, so a filter means the same in every run and never waits. A table has
// well-known services and protocols that the files lack. A service that is known for only
// one protocol means that protocol: "port http" is "tcp port 80". A backslash before a name
// keeps it from being a keyword.
//
// # Link types
//
// Supported link types are EN10MB, LINUX_SLL, LINUX_SLL2, RAW, IPV4, IPV6, NULL, LOOP, PPP,
// PPP_SERIAL, PPP_ETHER, C_HDLC, IEEE802_11, IEEE802_11_RADIO, IEEE802_11_RADIO_AVS,
// PRISM_HEADER and PPI. For other link types, only the bytes (link[...], byte) and the
// length can be tested. A primitive that a link type does not support is refused with its
// column, and so is an expression that no packet can match.
//
//   - IPv6 in NULL and LOOP is the address family 24, 28 or 30; that of NULL is taken
//     in both byte orders, because a stream does not say which machine captured.
//   - A capture does not contain the netmask: "ip broadcast" is for 0.0.0.0 and
//     255.255.255.255, as with tcpdump -r. "ip multicast" takes 240.0.0.0/4, too.
//   - The primitives of ATM, SS7, PF and ARCNET are refused.
//   - "ip protochain" adds the length of an authentication header to the offset of the
//     IP header, not to that of the authentication header, as libpcap does.
//
// # How it is done
//
// The parser (parser.go) makes a tree of the expression. The generator (generate.go and the
// files of the primitives) makes a condition for a link type from the tree. This becomes a
// graph of decisions (decision.go), which is simplified and sorted as by libpcap's
// optimizer (reorder.go). The assembler (assemble.go) turns the graph into instructions of
// classic BPF, which the machine in program.go runs.
package filter

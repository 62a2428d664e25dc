// Package compare compares a capture of what arrived with the reference: a capture of what
// was to be sent.
//
// # Which packets belong together
//
// Two packets are the same if a hash of 64 bits of their bytes is equal. Padding, an FCS, and
// VLAN tags that only one of them has do not count. Neither do bytes that one of the captures
// has cut off. Among packets with the same bytes, the first belongs to the first and the
// second to the second, unless their times say clearly which of them is missing or has come
// twice.
//
// The remaining packets of both sides are compared by two other hashes: one without the
// fields that routers and pcap-inject rewrite, and one of the headers alone. Packets with an
// equal hash are the same packet, altered.
//
// So every packet of the reference is matched, altered or missing, and every packet of the
// capture is matched, altered, duplicated or extra.
//
// # Memory
//
// Both captures are read once and at the same time. A window of each stays in memory. A packet
// that leaves the window of its side without a partner is stored in 16 bytes. At the end,
// stored packets that agree are paired. Such a displaced packet is counted as matched, but its
// times are not compared.
package compare

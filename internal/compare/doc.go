// Package compare holds one capture, what arrived, against another, what was to be sent:
// the reference.
//
// # Which packets belong together
//
// Two packets are the same if their bytes are, by a hash of 64 bits. Padding, an FCS, and
// VLAN tags that only one of them has do not count; nor do bytes that one capture has cut
// off. Of packets with the same bytes, the first belongs to the first and the second to the
// second. Where their times say clearly that one of them is missing or came twice, it is
// that one.
//
// A packet that remains is held against those that remain on the other side, by two other
// hashes: one without the fields that routers and pcap-inject rewrite, and one of the
// headers alone. Those that agree are the same packet, altered.
//
// So every packet of the reference is matched, altered or missing, and every packet of the
// capture is matched, altered, duplicated or extra.
//
// # Memory
//
// Both captures are read once and at the same time. A window of each stays in memory. What
// leaves the window of its side without a partner is written down, 16 bytes a packet, and
// what agrees is paired at the end: such a displaced packet is counted as matched, but its
// times are not compared.
package compare

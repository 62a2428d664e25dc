// Package stream reads and writes what flows between the tools: captures, one
// after another, on a file, a pipe or a socket.
//
// A stream is a sequence of sections. Each capture file header, pcap or pcapng,
// starts the next one, so "cat a.pcap b.pcap" is a stream of two. Every section
// may be compressed. A Reader recognizes formats and compressions by their first
// bytes.
//
// Packets move in batches. [Reader.Read] fills a slice of [Packet] whose Data
// points into the reader's own block and stays valid until the next Read. The
// caller may write to it. [Writer.Write] copies what it is given. Neither allocates
// per packet.
//
// # Damage
//
// The framing of a capture is the chain of its lengths: the length of each record gives the
// position of the next one. The framing of a pcap record is intact if its captured length is
// not too large, and if another record header, the header of another capture, or the end of
// the stream is at the position that this length gives. The framing of a pcapng block is
// intact if its two lengths agree. As long as the framing is intact, every record is accepted,
// whatever its timestamp and its bytes.
//
// Where the framing is broken, [Reader.Read] returns a [*Damage], and its next call continues
// at the next place that can be trusted: one from which records lead to the end of the stream
// or far beyond the length of a packet. Timestamps before the damage and after it help to
// choose among several such places. No record with intact framing is refused because of its
// timestamp.
//
// A record header of zeros is damage and never a packet: a system that crashed may leave zeros
// at the end of a file. The reader accounts for each byte of a stream: it returns the byte in a
// packet, skips it with a block that has no packets, or counts it in [Damage.Lost].
//
// The formats are those of pcap-savefile(5) and of the pcapng draft,
// draft-ietf-opsawg-pcapng.
package stream

// Package stream reads and writes what flows between the tools: captures, one
// after another, on a file, a pipe or a socket.
//
// A stream is a sequence of sections. Each capture file header, pcap or pcapng,
// starts the next one, so "cat a.pcap b.pcap" is a stream of two. Every section
// may be compressed; formats and compressions are told by their magic, never by
// a name.
//
// Packets move in batches. [Reader.Read] fills a slice of [Packet] whose Data
// points into the reader's own block and stays valid until the next Read;
// [Writer.Write] copies what it is given. Neither allocates per packet.
//
// What is broken in a capture is found, located and skipped: Read returns a
// [*Damage] and goes on behind it with its next call.
//
// The formats are those of pcap-savefile(5) and of the pcapng draft,
// draft-ietf-opsawg-pcapng.
package stream

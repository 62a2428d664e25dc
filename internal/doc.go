// Package internal holds everything but the tools and the public package stream. It has no
// code of its own: this page describes the architecture.
//
// # Layers
//
// Imports run downwards only:
//
//	cmd/pcap-*                        the six tools, each complete in its folder
//	input                             operands, folders, records and tarballs become open captures
//	tool                              what the user meets in all tools
//	chart                             records drawn in a terminal and as SVG
//	archive compare duplicates        the engines
//	  filter merge rewrite schedule
//	  survey tunnel wire
//	frame                             link headers, VLAN, IP, checksums, hashes of flows
//	stream                            captures read and written
//	files record gunzip bunzip2       files, records and decompression
//	  unxz unframe rewind privilege
//	duration plural                   durations, sums of times, and numbers with nouns
//
// lab and acceptance test the other packages, and are not part of the tools.
//
// # The path of a packet
//
// A stream.Reader reads it from a file, a pipe or a member of a tarball. Package input
// decides which captures are read and in which order they are played. Package tunnel takes
// it out of its tunnels. A filter, a shard or a time range selects it. Package merge puts it
// in the order of time, or package schedule computes its departure. With two interfaces,
// pcap-inject decides on which one it leaves. Package rewrite changes its addresses, ports
// and VLAN tag. Package frame makes it fit the interface: its link header and its length. It
// waits in the ring of package schedule, and package wire sends it. What the device refuses
// comes back as an error, and the tool decides.
//
// Data flows one way. An engine receives functions and values, and never the run of a tool.
//
// # The end of a run
//
// Package tool ends a run: it waits for a tool that was told to stop, gives outputs their
// final names, writes the report and chooses the exit code.
package internal

// Pcap-tarcat gives members of a tarball as one stream of captures.
//
//	pcap-tarcat [flags] [ARCHIVE [REGEXP ...]]
package main

import "pcap-replay/internal/cli"

func main() { cli.Main(cli.TarCat()) }

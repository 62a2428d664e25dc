// Pcap-tarls lists the captures in a tarball, one record a member.
//
//	pcap-tarls [flags] [ARCHIVE ...]
package main

import "pcap-replay/internal/cli"

func main() { cli.Main(cli.TarLs()) }

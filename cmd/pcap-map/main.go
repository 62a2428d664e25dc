// Pcap-map says what is in captures, one record each.
//
//	pcap-map [flags] [FILE|FOLDER|ARCHIVE ...]
package main

import "pcap-replay/internal/cli"

func main() { cli.Main(cli.Map()) }

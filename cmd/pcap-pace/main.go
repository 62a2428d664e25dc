// Pcap-pace gives a stream out in real time.
//
//	pcap-pace [flags] [FILE ...]
package main

import "pcap-replay/internal/cli"

func main() { cli.Main(cli.Pace()) }

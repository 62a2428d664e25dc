// Pcap-inject sends a stream on an interface, each packet at its moment.
//
//	pcap-inject [flags] -i INTERFACE|-w FILE [FILE ...]
package main

import "pcap-replay/internal/cli"

func main() { cli.Main(cli.Inject()) }

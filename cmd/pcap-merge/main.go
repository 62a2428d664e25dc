// Pcap-merge puts the packets of many captures into one order, that of time.
//
//	pcap-merge [flags] [FILE|FOLDER ...]
package main

import "pcap-replay/internal/cli"

func main() { cli.Main(cli.Merge()) }

// Pcap-tarls lists the members of tarballs, one record each.
//
//	pcap-tarls [flags] [ARCHIVE ...]
//
// The record of a capture has its format, link type and the time of its first packet.
// --index also writes the seek index ARCHIVE.tarx. See pcap-tarls(1).
package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

func main() { tool.Main(tarls()) }

func tarls() *tool.Tool {
	return &tool.Tool{
		Name:     "pcap-tarls",
		Usage:    "list the members of tarballs, one record each",
		Operands: "[ARCHIVE ...]",
		Text: "Reads tarballs, uncompressed or compressed with gzip, lz4, zstd, xz or bzip2, and prints one\n" +
			"record for each member. The record of a capture has its format, its link type and the time\n" +
			"of its first packet, even if the member itself is compressed. If a compressed archive has an\n" +
			"up-to-date index (see --index), the records come from the index, and the archive is not read.",
		Flags: []cli.Flag{
			tool.OutputFlag(),
			tool.NewListFlag("match", "list only members whose names match `REGEXP` (may be repeated)"),
			&cli.BoolFlag{Name: "names", Usage: "print only names, with control characters escaped as by tar -t"},
			&cli.BoolFlag{Name: "null", Aliases: []string{"0"}, Usage: "print only names, not escaped, each followed by a zero byte"},
			&cli.BoolFlag{Name: "index", Usage: "also write the seek index ARCHIVE.tarx"},
			&cli.BoolFlag{Name: "verify", Usage: "compare the index of each archive with the archive, and list nothing"},
			input.IgnoreZerosFlag(),
			tool.StrictFlag(),
		},
		SideOutputs: indexes,
		Run:         run,
	}
}

func run(run *tool.Run) error {
	config, err := configure(run.Flags)
	if err != nil {
		return err
	}
	out, err := run.OpenOutput(false)
	if err != nil {
		return err
	}
	l := newLister(run, config, out)
	run.SetCounters(l.counters)
	run.SetSummary(l.summary)
	run.Progress.Start(l.archives.Opener.Size(slices.Values(config.archives)), nil)
	return l.listAll()
}

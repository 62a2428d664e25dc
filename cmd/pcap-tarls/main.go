// Pcap-tarls lists the members of tarballs, one record for each member.
//
//	pcap-tarls [flags] [ARCHIVE ...]
//
// Of a capture the record tells format, link type and the time of the first packet.
// --index writes the seek index ARCHIVE.tarx in the same pass. See pcap-tarls(1).
package main

import (
	"github.com/urfave/cli/v2"

	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

func main() { tool.Main(tarls()) }

func tarls() *tool.Tool {
	return &tool.Tool{
		Name:     "pcap-tarls",
		Usage:    "list the members of tarballs, one record a member",
		Operands: "[ARCHIVE ...]",
		Text: "Reads tarballs, compressed with gzip, lz4, zstd, xz, bzip2 or not at all, and prints a record\n" +
			"for each member as it passes. Of a capture the record tells format, link type and the time of\n" +
			"the first packet, also where the member itself is compressed. An archive with a fresh index\n" +
			"(--index) is not read: the index answers.",
		Flags: []cli.Flag{
			tool.OutputFlag(),
			&cli.StringSliceFlag{Name: "match", Usage: "list only members whose name matches `REGEXP` (may be given again)"},
			&cli.BoolFlag{Name: "names", Usage: "print names only, control characters escaped as tar -t does"},
			&cli.BoolFlag{Name: "null", Aliases: []string{"0"}, Usage: "print names only, as they are, each ended by a zero byte"},
			&cli.BoolFlag{Name: "index", Usage: "write the seek index ARCHIVE.tarx in the same pass"},
			&cli.BoolFlag{Name: "verify", Usage: "check the index of each archive against it, and list nothing"},
			input.IgnoreZerosFlag(),
			tool.StrictFlag(),
		},
		Run: run,
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
	run.Progress.Start(l.archives.Opener.Size(config.archives), nil)
	if err := l.listAll(); err != nil {
		return err
	}
	return out.Commit()
}

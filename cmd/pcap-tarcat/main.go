// Pcap-tarcat writes members of a tarball as one stream, or extracts them.
//
//	pcap-tarcat [flags] [ARCHIVE [REGEXP ...]]
//
// Members are decompressed and follow one another as they stand in the tarball. See
// pcap-tarcat(1).
package main

import (
	"github.com/urfave/cli/v2"

	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

func main() { tool.Main(tarcat()) }

func tarcat() *tool.Tool {
	return &tool.Tool{
		Name:     "pcap-tarcat",
		Usage:    "write members of a tarball as one stream, or extract them",
		Operands: "[ARCHIVE [REGEXP ...]]",
		Text: "Takes the members whose name matches a regular expression, is given with --name or stands in\n" +
			"the records of --select; without any of these, every capture. Members are decompressed and follow\n" +
			"one another as they stand in the tarball. What is no capture is left out of a stream, unless it\n" +
			"is named exactly; --raw and -C take it if an expression matches.",
		Flags: []cli.Flag{
			tool.OutputFlag(),
			&cli.StringSliceFlag{Name: "name", Usage: "take the member named `NAME` (may be given again)"},
			&cli.StringFlag{Name: "select", Usage: "take the members of the records in `FILE`, from pcap-tarls or pcap-map"},
			&cli.BoolFlag{Name: "raw", Usage: "leave compressed members as they are"},
			&cli.StringFlag{Name: "directory", Aliases: []string{"C"}, Usage: "extract into files below `DIR`"},
			tool.CompressFlag(),
			&cli.StringFlag{Name: "max-bytes", Usage: "fail when more than `SIZE` would be given out: tarballs can hold far more than they take"},
			&cli.BoolFlag{Name: "list", Usage: "only print the records of what would be taken"},
			input.IgnoreZerosFlag(),
			tool.StrictFlag(),
		},
		Run: run,
	}
}

func run(run *tool.Run) error {
	opener := &input.Opener{In: run.In, Out: run.Out, Report: run.Report, Outputs: []string{run.Flags.String("output")}}
	config, err := configure(run.Flags, opener)
	if err != nil {
		return err
	}
	t := newTaker(run, config, opener)
	if err := t.open(); err != nil {
		return err
	}
	run.SetCounters(t.counters)
	run.SetSummary(t.summary)
	run.Progress.Start(t.size(), nil)
	return t.takeAll()
}

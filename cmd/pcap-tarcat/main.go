// Pcap-tarcat writes members of a tarball as one stream, or extracts them.
//
//	pcap-tarcat [flags] [ARCHIVE [REGEXP ...]]
//
// It decompresses the members and writes them in the order of the tarball. See
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
		Text: "Reads a tarball and writes the members whose names match a regular expression, or that\n" +
			"--name or the records of --select name. Without any of these, it writes every capture.\n" +
			"Members are decompressed and written in the order of the tarball. A member that is not a\n" +
			"capture is left out of a stream, unless it is named exactly. With --raw or -C, it is also\n" +
			"written if an expression matches.",
		Flags: []cli.Flag{
			tool.OutputFlag(),
			tool.NewListFlag("name", "write the member named `NAME` (may be repeated)"),
			&cli.StringFlag{Name: "select", Usage: "write the members of the records of pcap-tarls or pcap-map in `FILE`"},
			&cli.BoolFlag{Name: "raw", Usage: "do not decompress members"},
			&cli.StringFlag{Name: "directory", Aliases: []string{"C"}, Usage: "extract into files below `DIR`"},
			tool.CompressFlag(),
			&cli.StringFlag{Name: "max-bytes", Usage: "fail if more than `SIZE` would be written, since a small tarball can expand to a lot of data"},
			&cli.BoolFlag{Name: "list", Usage: "only print the records of the members that would be written"},
			input.IgnoreZerosFlag(),
			tool.StrictFlag(),
		},
		InputOperands: func(operands []string) []string { return operands[:min(len(operands), 1)] }, // expressions follow
		Run:           run,
	}
}

func run(run *tool.Run) error {
	opener := input.NewOpener(run)
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

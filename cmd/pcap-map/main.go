// Pcap-map describes captures, one record each.
//
//	pcap-map [flags] [FILE | FOLDER | ARCHIVE ...]
//
// A record has the packets, bytes, times, rates, disorder and damage of a capture. --chart
// and --svg draw when each capture runs. See pcap-map(1).
package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

func main() { tool.Main(mapper()) }

func mapper() *tool.Tool {
	return &tool.Tool{
		Name:     "pcap-map",
		Usage:    "describe captures, one record each",
		Operands: "[FILE | FOLDER | ARCHIVE ...]",
		Text: "Reads captures, folders of captures and tarballs, or stdin, and prints one record for each\n" +
			"capture, in the order of the operands. A terminal gets a table instead. --chart prints a\n" +
			"picture: it shows when each capture runs, and its packet rate over time. --svg also writes\n" +
			"this picture to a file.",
		Flags: slices.Concat([]cli.Flag{
			tool.OutputFlag(),
			&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Usage: "read `N` files at the same time", DefaultText: "the number of cores"},
			tool.StrictFlag(),
			input.IgnoreZerosFlag(),
			&cli.BoolFlag{Name: "json", Usage: "print records also on a terminal, instead of a table"},
			&cli.BoolFlag{Name: "chart", Usage: "draw when each capture runs, instead of printing records"},
			&cli.StringFlag{Name: "svg", Usage: "also draw when each capture runs as a picture into `FILE`"},
			&cli.StringFlag{Name: "against", Usage: "compare a capture with what was to be sent: the capture `REFERENCE` (-: stdin)"},
			&cli.StringFlag{Name: "speed", Usage: "with --against: the replay was to be `N` times as fast as the reference", DefaultText: "estimated"},
			&cli.StringFlag{Name: "memory", Value: "256MiB", Usage: "with --against: use up to `SIZE` of memory"},
			&cli.StringFlag{Name: "tmp", Usage: "with --against: keep the rest in a temporary file in `FOLDER`", DefaultText: "$TMPDIR or /tmp"},
		}, referenceFlags(), []cli.Flag{
			&cli.StringFlag{Name: "from-records", Usage: "draw the records in `FILE` (- for stdin) instead of reading captures"},
		}, input.NameFlags()),
		Run: run,
	}
}

func run(run *tool.Run) error {
	config, err := configure(run.Flags)
	if err != nil {
		return err
	}
	if config.reference != "" {
		return newComparison(run, config).produce()
	}
	m := newMapping(run, config)
	if err := m.open(); err != nil {
		return err
	}
	run.SetCounters(m.counters)
	run.SetSummary(m.summary)
	return m.produce()
}

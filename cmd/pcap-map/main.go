// Pcap-map says what is in captures, one record for each.
//
//	pcap-map [flags] [FILE | FOLDER | ARCHIVE ...]
//
// A record has packets, bytes, times, rates, disorder and damage. --chart and --svg draw
// when each capture runs. See pcap-map(1).
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
		Usage:    "say what is in captures, one record each",
		Operands: "[FILE | FOLDER | ARCHIVE ...]",
		Text: "Reads captures, folders of captures and tarballs, or stdin, to their end and prints a record\n" +
			"for each capture, in the order of the operands. --chart prints a picture instead: when each\n" +
			"capture runs, and how fast its packets come. --svg draws it into a file beside the records.",
		Flags: slices.Concat([]cli.Flag{
			tool.OutputFlag(),
			&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Usage: "read `N` files at the same time", DefaultText: "one for each core"},
			tool.StrictFlag(),
			input.IgnoreZerosFlag(),
			&cli.BoolFlag{Name: "chart", Usage: "draw when each capture runs instead of printing records"},
			&cli.StringFlag{Name: "svg", Usage: "draw that as a picture into `FILE`"},
			&cli.StringFlag{Name: "from-records", Usage: "draw what the records in `FILE` say (-: stdin) instead of reading captures"},
		}, input.NameFlags()),
		Run: run,
	}
}

func run(run *tool.Run) error {
	config, err := configure(run.Flags)
	if err != nil {
		return err
	}
	m := newMapping(run, config)
	if err := m.open(); err != nil {
		return err
	}
	run.SetCounters(m.counters)
	run.SetSummary(m.summary)
	return m.produce()
}

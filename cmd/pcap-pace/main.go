// Pcap-pace gives a stream out in real time.
//
//	pcap-pace [flags] [FILE | FOLDER ...]
//
// Each packet leaves at its moment and is stamped with it. See pcap-pace(1).
package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

func main() { tool.Main(pace()) }

func pace() *tool.Tool {
	return &tool.Tool{
		Name:     "pcap-pace",
		Usage:    "give a stream out in real time",
		Operands: "[FILE | FOLDER ...]",
		Text: "Reads captures, one after another, or stdin, and writes one capture: the same packets,\n" +
			"each at its moment and stamped with it. The first packet keeps its timestamp; the others\n" +
			"follow on the axis that the flags bend. A packet out of order leaves at once.\n\n" +
			"A capture of the stream that starts later than the last one ended keeps its gap; one\n" +
			"that starts earlier follows after the mean gap of the last one.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "speed", Usage: "let time pass `X` times as fast, such as 2, 0.5 or 1/3"},
			&cli.StringFlag{Name: "fit", Usage: "let the whole take `DURATION`; each round, with --loop"},
			&cli.StringFlag{Name: "span", Usage: "the whole is `DURATION` long, for --fit"},
			&cli.StringFlag{Name: "select", Usage: "the whole is as long as the records of pcap-map in `FILE` say, for --fit"},
			&cli.StringFlag{Name: "pps", Usage: "`N` packets a second, evenly, such as 5000 or 10k"},
			&cli.StringFlag{Name: "bps", Usage: "`N` bits a second of lengths on the wire, evenly, such as 10M"},
			&cli.StringFlag{Name: "max-gap", Usage: "shorten longer gaps to `DURATION`"},
			&cli.Int64Flag{Name: "loop", Value: 1, Usage: "play the files `N` times (0: for ever)"},
			&cli.StringFlag{Name: "start-at", Usage: "the moment of --from, or else the first packet, leaves at `TIME`, and all are stamped for pcap-inject --at"},
			&cli.StringFlag{Name: "lead", Usage: "give packets out by `DURATION` earlier than they are stamped", DefaultText: "0; 1s with --start-at"},
			&cli.BoolFlag{Name: "exact", Usage: "wait to the microsecond, for what sends a packet as soon as it comes"},
			&cli.BoolFlag{Name: "asap", Usage: "stamp, and do not wait"},
			&cli.BoolFlag{Name: "keep-timestamps", Usage: "do not stamp"},
			tool.StrictFlag(),
		}, tool.RangeFlags(), tool.StreamFlags()),
		Run: run,
	}
}

func run(run *tool.Run) error {
	opener := &input.Opener{In: run.In, Out: run.Out, Report: run.Report, Outputs: []string{run.Flags.String("output")}}
	problems := input.NewProblems(run)
	config, err := configure(run.Flags, opener, problems)
	if err != nil {
		return err
	}
	playback, err := input.NewPlayback(run.Context, run.Flags.Operands(), opener, problems, run.Progress)
	if err != nil {
		return err
	}
	if err := config.checkRewinds(playback); err != nil {
		return err
	}
	out, err := run.OpenOutput(true)
	if err != nil {
		return err
	}
	p := newPacer(run, config, playback, out)
	run.SetCounters(p.counters)
	run.SetSummary(p.summary)
	return p.playAll()
}

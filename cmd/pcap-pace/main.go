// Pcap-pace writes a stream in real time, at any speed.
//
//	pcap-pace [flags] [FILE | FOLDER ...]
//
// It writes each packet at its departure time, and sets the timestamp to that time. See
// pcap-pace(1).
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
		Usage:    "write a stream in real time, at any speed",
		Operands: "[FILE | FOLDER ...]",
		Text: "Reads captures one after another, or stdin, and writes one capture with the same packets. It\n" +
			"writes each packet at its departure time, and sets the timestamp to that time. The first\n" +
			"packet keeps its timestamp. Flags such as --speed change the times of the others. A packet\n" +
			"out of order is written at once.\n\n" +
			"If a capture in the stream starts after the previous one ended, the gap between them is\n" +
			"kept. If it starts earlier, it follows after the mean gap of the previous one.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "speed", Usage: "play `X` times as fast, such as 2, 0.5 or 1/3"},
			&cli.StringFlag{Name: "fit", Usage: "play the whole input in `DURATION`, or each round of --loop"},
			&cli.StringFlag{Name: "span", Usage: "with --fit: the duration of the input is `DURATION`"},
			&cli.StringFlag{Name: "select", Usage: "with --fit: take the duration of the input from the pcap-map records in `FILE`"},
			&cli.StringFlag{Name: "pps", Usage: "play `N` packets per second at even intervals, such as 5000 or 10k"},
			&cli.StringFlag{Name: "bps", Usage: "play `N` bits per second evenly, by lengths on the wire, such as 10M"},
			&cli.StringFlag{Name: "max-gap", Usage: "shorten longer gaps to `DURATION`"},
			&cli.Int64Flag{Name: "loop", Value: 1, Usage: "play the files `N` times (0: forever)"},
			tool.UniqueFlowsFlag(),
			&cli.StringFlag{Name: "start-at", Usage: "set timestamps for pcap-inject --at: --from, or else the first packet, becomes `TIME`"},
			&cli.StringFlag{Name: "lead", Usage: "write packets `DURATION` earlier than their timestamps", DefaultText: "0; 1s with --start-at"},
			&cli.BoolFlag{Name: "exact", Usage: "wait to the microsecond, for a reader that sends packets as they arrive"},
			&cli.BoolFlag{Name: "asap", Usage: "set timestamps, but do not wait"},
			&cli.BoolFlag{Name: "keep-timestamps", Usage: "wait as usual, but do not change timestamps"},
			tool.StrictFlag(),
		}, tool.RangeFlags(), tool.StreamFlags()),
		Run: run,
	}
}

func run(run *tool.Run) error {
	opener := input.NewOpener(run)
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
	if err := playback.CheckOrder(run.Flags); err != nil {
		return err
	}
	out, err := run.OpenOutput(true)
	if err != nil {
		return err
	}
	p := newPacer(run, config, playback, out)
	run.SetCounters(p.line)
	run.SetSummary(p.summary)
	return p.playAll()
}

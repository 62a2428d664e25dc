// Pcap-inject sends each packet of a stream at its moment.
//
//	pcap-inject [flags] -i INTERFACE | -w FILE [FILE | FOLDER ...]
//
// It keeps a short buffer of the stream, and sends each packet at its time. A late packet
// does not move the next one. See pcap-inject(1).
package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/tool"
)

func main() { tool.Main(injector()) }

func injector() *tool.Tool {
	return &tool.Tool{
		Name:     "pcap-inject",
		Usage:    "send each packet of a stream at its moment",
		Operands: "-i INTERFACE | -w FILE [FILE | FOLDER ...]",
		Text: "Reads captures, one after another, or stdin, and sends their packets. The first one leaves\n" +
			"--delay after it came; the others follow with the gaps of their timestamps. A late packet\n" +
			"does not move the next one.\n\n" +
			"When a packet comes only after its moment, the buffer was empty: that is an underrun. All\n" +
			"that follows then leaves with a fresh delay, rather than in a burst; with --at, where\n" +
			"moments are fixed, at once.\n\n" +
			"A frame is short when the capture holds less of it than there was on the wire, and\n" +
			"oversize when it is longer than the interface takes. Each that cannot be sent is counted;\n" +
			"unless --oversize or --short asks for that, the exit code is 3.",
		Exits: "4 --fail-late",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "interface", Aliases: []string{"i"}, Usage: "send on `INTERFACE`"},
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write to `FILE` instead (-: stdout), stamped with the moment of sending"},
			&cli.StringFlag{Name: "delay", Value: "200ms", Usage: "buffer `DURATION` of the stream"},
			&cli.BoolFlag{Name: "at", Usage: "timestamps are moments of the wall clock, as pcap-pace --start-at makes them"},
			&cli.BoolFlag{Name: "asap", Usage: "send as fast as it goes"},
			&cli.StringFlag{Name: "oversize", Value: oversizeWords[0], Usage: "what to do with oversize frames: error (leave out, exit 3), skip, truncate, or segment (as a card does with TCP)"},
			&cli.StringFlag{Name: "short", Value: shortWords[0], Usage: "what to do with short frames: pad (with zeros), asis or skip"},
			&cli.StringFlag{Name: "link", Value: linkWords[0], Usage: "what to do with frames of RAW, NULL, LOOP, LINUX_SLL or LINUX_SLL2: refuse, or make ethernet ones of them"},
			&cli.StringFlag{Name: "tx", Value: txWords[0], Usage: "send by packet or xdp sockets; auto takes xdp with --asap, if it works"},
			&cli.IntFlag{Name: "workers", Value: 1, Usage: "send with `N` threads, each flow by one: order is kept within a flow only"},
			&cli.BoolFlag{Name: "realtime", Usage: "have the scheduler prefer the sending thread to all others"},
			&cli.BoolFlag{Name: "verify", Usage: "also tell lateness by the kernel's transmit timestamps"},
			&cli.Int64Flag{Name: "limit", Usage: "end after `N` packets", DefaultText: "with the input"},
			&cli.StringFlag{Name: "duration", Usage: "end `DURATION` after the first packet has left"},
			&cli.StringFlag{Name: "fail-late", Usage: "exit with 4 when more than 1 % of the packets are over `DURATION` late"},
			tool.StrictFlag(),
		}, tool.FilterFlags()),
		Run: run,
	}
}

func run(run *tool.Run) error {
	config, err := configure(run.Flags)
	if err != nil {
		return err
	}
	in := newInjection(run, config)
	if err := in.open(); err != nil {
		return err
	}
	run.SetCounters(in.line)
	run.SetSummary(in.summary)
	if in.sink.isWire() {
		in.tuneRuntime()
	}
	err = in.send()
	if closeErr := in.close(err); err == nil {
		err = closeErr
	}
	if err == nil {
		err = in.checkLateness()
	}
	return err
}

// Pcap-inject sends the packets of a stream on an interface, each at its departure time.
//
//	pcap-inject [flags] -i INTERFACE | -w FILE [FILE | FOLDER ...]
//
// It buffers a short part of the stream ahead of time. A late packet does not delay the
// next one. See pcap-inject(1).
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
		Usage:    "send the packets of a stream on an interface, each at its departure time",
		Operands: "-i INTERFACE | -w FILE | --to URL [FILE | FOLDER ...]",
		Text: "Reads captures one after another, or stdin, and sends their packets. The first packet leaves\n" +
			"--delay after it arrived. The others follow with the gaps between their timestamps. A late\n" +
			"packet does not delay the next one.\n\n" +
			"If a packet arrives after its departure time, the buffer was empty: this is an underrun. The\n" +
			"rest of the stream then leaves with a fresh delay instead of a burst. With --at, late\n" +
			"packets are sent at once.\n\n" +
			"A frame is short if the capture holds less of it than its length on the wire. It is oversize\n" +
			"if it is longer than the MTU allows. Frames that cannot be sent are counted, and the exit\n" +
			"code is 3 unless --oversize or --short allows it.\n\n" +
			"With --split and two interfaces, the packets of both sides of an inline device leave by one\n" +
			"schedule and in order.",
		Exits: ",\nor some packets could not be sent; 4 later than --fail-late allows",
		Flags: slices.Concat([]cli.Flag{
			tool.NewListFlag("interface", "send on `INTERFACE` (given twice with --split)", "i"),
			&cli.StringFlag{Name: "split", Usage: "send on two interfaces: what matches `EXPRESSION` on the first, the rest on the second; or clients (what clients sent), or direction (inbound packets of a pcapng)"},
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write frames to `FILE` instead (- for stdout), with their times of sending"},
			&cli.StringFlag{Name: "to", Usage: "send frames in UDP datagrams to `URL`: vxlan://HOST[:PORT]?vni=N or geneve://HOST[:PORT]?vni=N"},
			&cli.StringFlag{Name: "delay", Value: "200ms", Usage: "buffer packets for `DURATION` before sending them"},
			&cli.StringFlag{Name: "max-gap", Usage: "shorten longer gaps to `DURATION`"},
			&cli.BoolFlag{Name: "at", Usage: "send packets at their timestamps by the wall clock, as pcap-pace --start-at sets them"},
			&cli.BoolFlag{Name: "asap", Usage: "send as fast as possible"},
			&cli.StringFlag{Name: "oversize", Value: oversizeWords[0], Usage: "what to do with frames longer than the MTU allows: error (leave out, exit 3), skip, truncate, or segment (cut TCP as TSO does)"},
			&cli.StringFlag{Name: "short", Value: shortWords[0], Usage: "what to do with frames that the snaplen cut: pad (with zeros), asis or skip"},
			&cli.StringFlag{Name: "link", Value: linkWords[0], Usage: "what to do with frames of RAW, NULL, LOOP, LINUX_SLL or LINUX_SLL2: refuse, or ethernet (give them an Ethernet header)"},
			&cli.StringFlag{Name: "tx", Value: txWords[0], Usage: "socket type: packet, bypass or xdp; auto uses packet if a program captures on the interface"},
			&cli.IntFlag{Name: "workers", Value: 1, Usage: "send with `N` threads; only packets of the same flow keep their order"},
			&cli.BoolFlag{Name: "realtime", Usage: "give the sending thread real-time priority"},
			&cli.BoolFlag{Name: "spin", Usage: "poll the clock instead of sleeping; this takes a whole core for each of the --workers"},
			&cli.BoolFlag{Name: "verify", Usage: "also measure lateness by the kernel's transmit timestamps"},
			&cli.Int64Flag{Name: "limit", Usage: "end after `N` packets", DefaultText: "no limit"},
			&cli.StringFlag{Name: "duration", Usage: "end `DURATION` after the first packet was sent"},
			&cli.StringFlag{Name: "fail-late", Usage: "exit with code 4 if more than 1 % of the packets are late by more than `DURATION`"},
			tool.StrictFlag(),
		}, tool.DecapFlags(), tool.FilterFlags(), tool.RewriteFlags()),
		DropsPrivileges: true,
		Run:             run,
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
	run.KeepOutputs()
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
		in.sayNothingLeft()
		err = in.checkLateness()
	}
	return err
}

// Pcap-merge merges captures into one stream in time order.
//
//	pcap-merge [flags] [FILE | FOLDER | ARCHIVE ...]
//
// It opens a file when its first packet is due, and reads a stream to its end first. See
// pcap-merge(1).
package main

import (
	"runtime/debug"
	"slices"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/input"
	"pcap-replay/internal/tool"
)

func main() { tool.Main(merger()) }

func merger() *tool.Tool {
	return &tool.Tool{
		Name:     "pcap-merge",
		Usage:    "merge captures into one stream in time order",
		Operands: "[FILE | FOLDER | ARCHIVE ...]",
		Text: "Reads captures, folders of captures and tarballs, or stdin, and writes one capture whose\n" +
			"packets are sorted by time. Packets with equal timestamps keep the order of the inputs. A\n" +
			"file is opened when its first packet is due.\n\n" +
			"Stdin, pipes, tarballs without an index and small files with several captures are streams.\n" +
			"Each capture of a stream is an input of its own. A stream is read to its end before the\n" +
			"first packet is written: its packets stay in memory up to --memory, and then in files in\n" +
			"--tmp. A file over 4 MiB that holds several captures is read as one input.\n\n" +
			"--follow writes a packet as soon as each growing file has packets that are --reorder later.\n" +
			"It does not wait for a file that has not grown for as long. The program that captures should\n" +
			"write without buffering (tcpdump -U).",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "select", Usage: "merge the captures of the records of pcap-map or pcap-tarls in `FILE` (- for stdin)"},
			input.IgnoreZerosFlag(),
			&cli.BoolFlag{Name: "align", Usage: "begin all captures at the same moment, that of the earliest first packet"},
			&cli.Int64Flag{Name: "loop", Value: 1, Usage: "write all inputs `N` times, one round after another (0: forever)"},
			tool.UniqueFlowsFlag(),
			&cli.StringFlag{Name: "shard", Usage: "keep only the flows of share `I/N`, where I counts from 0"},
			tool.WordFlag("dedup", "leave out packets that have the same bytes as a recent one, or with --dedup=ip the same IP packet", dedupWords),
			&cli.StringFlag{Name: "dedup-window", Value: "10ms", Usage: "compare packets with those of the last `DURATION`"},
			&cli.StringFlag{Name: "reorder", Value: "1s", Usage: "sort packets of an input that are up to `DURATION` out of order"},
			&cli.Int64Flag{Name: "snaplen", Usage: "cut packets to `N` bytes", DefaultText: "no limit"},
			&cli.StringFlag{Name: "memory", Value: "256MiB", Usage: "keep up to `SIZE` of streams in memory"},
			&cli.StringFlag{Name: "tmp", Usage: "keep the rest of streams in temporary files in `FOLDER`", DefaultText: "$TMPDIR or /tmp"},
			&cli.StringFlag{Name: "follow", Usage: "merge the files in `FOLDER` as they are written, until SIGINT"},
			&cli.StringFlag{Name: "idle", Usage: "end --follow when no file has grown for `DURATION`"},
			tool.StrictFlag(),
		}, input.NameFlags(), tool.RangeFlags(), tool.DecapFlags(), tool.FilterFlags(), tool.RewriteFlags(), tool.StreamFlags()),
		Run: run,
	}
}

// mergeMemory is what a merge takes besides --memory, in bytes: inputs, read-ahead of open
// files, decompressors and compressors. The limit is a soft one: at it, garbage is collected
// that would be left until the heap has doubled.
const mergeMemory = 64 << 20

// codeMemory is what the code of the program takes of mergeMemory, in bytes: the runtime does
// not count it. It is 6 MiB, and 2 are for what is allocated before a collection ends.
const codeMemory = 8 << 20

func run(run *tool.Run) error {
	opener := input.NewOpener(run)
	config, err := configure(run.Flags, opener)
	if err != nil {
		return err
	}
	m := newMerging(run, config, opener)
	defer m.runs.Close()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(config.memory + config.memory/8 + mergeMemory - codeMemory))
	out, err := run.OpenOutput(true)
	if err != nil {
		return err
	}
	run.SetCounters(m.counters)
	run.SetSummary(m.summary)
	if config.follow != "" {
		run.Drain()
		run.KeepOutputs()
	}
	return tool.HintTemporary(m.mergeAll(out))
}

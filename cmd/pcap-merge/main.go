// Pcap-merge puts many captures into one stream, in order of time.
//
//	pcap-merge [flags] [FILE | FOLDER | ARCHIVE ...]
//
// Files are opened when their time comes; a stream is read to its end first. See
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
		Usage:    "put many captures into one stream, in order of time",
		Operands: "[FILE | FOLDER | ARCHIVE ...]",
		Text: "Reads captures, folders of captures and tarballs, or stdin, and writes one capture.\n" +
			"Packets of equal time keep the order of the inputs. Files are opened when their time\n" +
			"comes. The captures of a stream (stdin, a pipe, a tarball without an index, a small file\n" +
			"that holds several) are each an input of its own, so a stream is read to its end first:\n" +
			"its packets stay in memory up to --memory, and then in files in --tmp.\n\n" +
			"A file over 4 MiB that holds several captures is read as one input. On stdin, where a\n" +
			"tarball may come as well, each of them gets its place.\n\n" +
			"--follow waits for a file that grows until it has shown packets --reorder later than\n" +
			"those to go out, and not for one that has not grown for as long. Have them written\n" +
			"without delay (tcpdump -U).",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "select", Usage: "merge what the records of pcap-map or pcap-tarls in `FILE` name (-: stdin)"},
			input.IgnoreZerosFlag(),
			&cli.Int64Flag{Name: "loop", Value: 1, Usage: "play all `N` times, one after another (0: for ever)"},
			&cli.StringFlag{Name: "shard", Usage: "take only flows of share `I/N`, I from 0"},
			&cli.BoolFlag{Name: "dedup", Usage: "leave out a packet that has the same bytes as one shortly before"},
			&cli.StringFlag{Name: "dedup-window", Value: "10ms", Usage: "how long `DURATION` before"},
			&cli.StringFlag{Name: "reorder", Value: "1s", Usage: "put packets of an input in order that come up to `DURATION` too late"},
			&cli.Int64Flag{Name: "snaplen", Usage: "cut packets after `N` bytes", DefaultText: "none is cut"},
			&cli.StringFlag{Name: "memory", Value: "256MiB", Usage: "hold up to `SIZE` of a stream in memory"},
			&cli.StringFlag{Name: "tmp", Usage: "hold the rest in files in `FOLDER`", DefaultText: "$TMPDIR or /tmp"},
			&cli.StringFlag{Name: "follow", Usage: "merge the files in `FOLDER` as they are written, until SIGINT"},
			&cli.StringFlag{Name: "idle", Usage: "end --follow when no file has grown for `DURATION`"},
			tool.StrictFlag(),
		}, input.NameFlags(), tool.RangeFlags(), tool.FilterFlags(), tool.StreamFlags()),
		Run: run,
	}
}

// mergeMemory is what a merge takes besides --memory, in bytes: read-ahead of open files,
// decompressors and compressors. The limit is a soft one: at it, garbage is collected that
// would be left until the heap has doubled.
const mergeMemory = 64 << 20

func run(run *tool.Run) error {
	opener := &input.Opener{In: run.In, Out: run.Out, Report: run.Report, Outputs: []string{run.Flags.String("output")}}
	config, err := configure(run.Flags, opener)
	if err != nil {
		return err
	}
	m := newMerging(run, config, opener)
	defer m.runs.Close()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(config.memory + config.memory/8 + mergeMemory))
	out, err := run.OpenOutput(true)
	if err != nil {
		return err
	}
	run.SetCounters(m.counters)
	run.SetSummary(m.summary)
	if config.follow != "" {
		run.Drain()
	}
	return m.mergeAll(out)
}

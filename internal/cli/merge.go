package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/merge"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/stream"
)

// Merge is pcap-merge.
func Merge() *Tool {
	return &Tool{
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
			ignoreZerosFlag(),
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
			strictFlag(),
		}, nameFlags(), rangeFlags(), filterFlags(), streamFlags()),
		Run: runMerge,
	}
}

// mergeConfig is what the flags of pcap-merge say.
type mergeConfig struct {
	names   nameFilter
	sieve   *sieve
	loop    int64
	reorder int64 // nanoseconds
	memory  int64
	tmp     string
	strict  bool
	follow  string        // a folder, or ""
	idle    time.Duration // 0 never ends
	writer  *stream.WriterOptions
}

func (j *job) mergeConfig() (c mergeConfig, err error) {
	if c.names, err = j.nameFilter(); err != nil {
		return c, err
	}
	writer, err := j.writerOptions()
	if err != nil {
		return c, err
	}
	c.writer = &writer
	if c.sieve, err = j.newSieve(c.writer); err != nil {
		return c, err
	}
	c.writer.Snaplen = c.sieve.snaplen
	if c.loop = j.flags.Int64("loop"); c.loop < 0 {
		return c, usageErrorf("--loop %d: wanted 0 or more", c.loop)
	}
	reorder, err := parseDuration("reorder", j.flags.String("reorder"))
	if err != nil {
		return c, err
	}
	if reorder < 0 {
		return c, usageErrorf("--reorder %q: wanted 0 or more", j.flags.String("reorder"))
	}
	c.reorder = int64(reorder)
	if c.memory, err = parseSize("memory", j.flags.String("memory")); err != nil {
		return c, err
	}
	if c.tmp = j.flags.String("tmp"); c.tmp == "" {
		c.tmp = os.TempDir()
	} else if info, err := os.Stat(c.tmp); err != nil {
		return c, usageErrorf("--tmp %w", namedError(c.tmp, err))
	} else if !info.IsDir() {
		return c, usageErrorf("--tmp %q: is no folder", c.tmp)
	}
	c.strict = j.flags.Bool("strict")
	if c.follow, c.idle, err = j.followConfig(); err != nil {
		return c, err
	}
	if j.flags.String("select") == "-" {
		for _, operand := range j.operands() {
			if operand == "-" {
				return c, usageErrorf("stdin cannot be both an input and the records of --select")
			}
		}
	}
	return c, nil
}

// mergeRun is one run of pcap-merge.
type mergeRun struct {
	*job
	mergeConfig
	files    *merge.Files
	captures *merge.Captures
	runs     *merge.Runs

	inputs    []*merge.Input
	linkTypes []stream.LinkType // that their headers name
	named     int               // files, folders' files, archives and streams
	sound     int               // those of them that could be read
	again     bool              // the inputs have been played, and their damage has been said
	late      atomic.Int64
	written   traffic
}

// mergeMemory is what a merge takes besides --memory, in bytes. The limit is a soft
// one: at it, garbage is collected that would be left until the heap has doubled.
const mergeMemory = 64 << 20

func runMerge(j *job) error {
	config, err := j.mergeConfig()
	if err != nil {
		return err
	}
	m := &mergeRun{job: j, mergeConfig: config}
	m.files = merge.NewFiles(descriptorLimit(), func(bytes int) { j.progress.add(int64(bytes)) })
	m.captures = merge.NewCaptures(m.files, m.reorder, m.memory)
	m.runs = merge.NewRuns(m.memory, m.tmp, m.reorder, m.loop != 1)
	defer m.runs.Close()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(m.memory + m.memory/8 + mergeMemory))
	selection, err := m.selection()
	if err != nil {
		return err
	}
	output, err := j.openOutput(true)
	if err != nil {
		return err
	}
	j.setCounters(m.counters)
	if m.follow != "" {
		j.drains.Store(true)
		err = m.run(selection, output)
	} else {
		err = j.untilStopped(func() error { return m.run(selection, output) })
	}
	m.summarize(err)
	return err
}

// selection reads the records of --select.
func (m *mergeRun) selection() ([]selected, error) {
	if !m.flags.IsSet("select") {
		return nil, nil
	}
	return m.readSelection(m.flags.String("select"))
}

func (m *mergeRun) run(selection []selected, output *output) error {
	play := m.playGrowing
	if m.follow != "" {
		m.progress.start(-1, nil)
	} else {
		if err := m.collect(selection); err != nil {
			return err
		}
		if m.named > 0 && m.sound == 0 {
			return errReported
		}
		play = m.play
	}
	if len(m.linkTypes) > 0 {
		m.writer.LinkType = m.linkTypes[0]
	}
	m.writer.Written = m.written.add
	m.writer.Background = output.takesTime() || m.writer.Compression != stream.Uncompressed
	writer := stream.NewWriter(output, *m.writer)
	err := play(writer)
	if err != nil && writer.HasPackets() {
		_ = writer.Close() // what is counted as out goes out
	}
	m.sayBystanders()
	switch {
	case err != nil:
		return err
	case m.named > 0 && m.sound <= 0 && !writer.HasPackets():
		return errReported
	}
	if late := m.late.Load(); late > 0 {
		m.warnf("%s went out behind later ones: an input is out of order by more than %v", plural(late, "packet"), time.Duration(m.reorder))
	}
	if err := writer.Close(); err != nil {
		return m.outputFailed(err)
	}
	if err := m.sayUnwritable(); err != nil {
		return err
	}
	return output.commit()
}

// sayUnwritable names the packets that have been left out for their times, which
// makes the exit code 3, or 1 with --strict.
func (m *mergeRun) sayUnwritable() error {
	count := m.sieve.unwritable.Load()
	switch {
	case count == 0:
		return nil
	case m.writer.PcapNG:
		m.errorf("%s left out: a pcapng begins in 1970", plural(count, "packet"))
	default:
		m.errorf("%s left out: a pcap holds 1970 to 2106; --pcapng holds later ones", plural(count, "packet"))
	}
	m.damaged.Store(true)
	if m.strict {
		return errReported
	}
	return nil
}

// play writes the merged inputs as often as --loop says. Each round follows the
// one before as pcap-pace has it follow.
func (m *mergeRun) play(writer *stream.Writer) error {
	shift := int64(0)
	for round := int64(0); m.loop == 0 || round < m.loop; round++ {
		var span schedule.Span
		if err := m.playOnce(writer, shift, &span); err != nil {
			return err
		}
		if span.IsEmpty() {
			return nil // so will the next round be
		}
		shift = later(shift, span.Round())
		m.again = true
	}
	return nil
}

func (m *mergeRun) playOnce(writer *stream.Writer, shift int64, span *schedule.Span) error {
	merger, err := merge.New(m.inputs, merge.Options{Mixed: m.writer.PcapNG, Trouble: m.trouble})
	if err != nil {
		return mergeError(err)
	}
	defer merger.Close()
	defer func() { m.late.Add(merger.Late()) }()
	m.sieve.rewind()
	batch := make([]stream.Packet, 512)
	for !m.sieve.isPast() {
		if m.ctx.Err() != nil {
			return m.ctx.Err()
		}
		n, err := merger.Read(batch)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return mergeError(err)
		}
		kept, err := m.sieve.keep(batch[:n])
		if err != nil {
			return err
		}
		if m.loop != 1 {
			span.Add(kept)
			for i := range kept {
				kept[i].Time = later(kept[i].Time, shift)
			}
		}
		if err := m.write(writer, kept); err != nil {
			return err
		}
	}
	return nil
}

func (m *mergeRun) write(writer *stream.Writer, packets []stream.Packet) error {
	if err := writer.Write(packets); err != nil {
		return m.outputFailed(err)
	}
	return nil
}

// mergeError adds what to do when inputs do not fit together.
func mergeError(err error) error {
	var linkTypes *merge.LinkTypesError
	if errors.As(err, &linkTypes) {
		return withHint(err, "--pcapng writes a capture that holds both")
	}
	return err
}

// trouble says what is wrong with an input, once however often it is played.
// The others go on, unless --strict says otherwise.
func (m *mergeRun) trouble(input *merge.Input, err error) error {
	var damage *stream.Damage
	damaged := errors.As(err, &damage)
	switch {
	case damaged && !m.again:
		m.damage(input.Path, input.Archive, damage)
	case !damaged:
		m.giveUp(input)
		m.streamFailed(input.Path, input.Archive, err)
	}
	if m.strict {
		return errReported
	}
	return nil
}

// giveUp leaves an input out of the rounds to come.
func (m *mergeRun) giveUp(input *merge.Input) {
	m.sound--
	m.inputs = slices.DeleteFunc(slices.Clone(m.inputs), func(other *merge.Input) bool { return other == input })
}

// counters is the line for SIGUSR1.
func (m *mergeRun) counters() string {
	return fmt.Sprintf("%d packets in, %d out (%d bytes)", m.sieve.in.Load(), m.written.packets.Load(), m.written.bytes.Load())
}

// mergeSummary ends the report: packets_in is packets_out and all that is named
// between them.
type mergeSummary struct {
	record.Summary
	Inputs      int   `json:"inputs"` // sections and files
	PacketsIn   int64 `json:"packets_in"`
	OutOfRange  int64 `json:"out_of_range"` // --from and --to
	OtherShards int64 `json:"other_shards"`
	Filtered    int64 `json:"filtered"`
	Unwritable  int64 `json:"unwritable"` // of times that the output does not hold
	Duplicates  int64 `json:"duplicates"`
	Interrupted int64 `json:"interrupted"` // read, but the run was ended
	PacketsOut  int64 `json:"packets_out"`
	Bytes       int64 `json:"bytes"`         // captured, of packets_out
	Late        int64 `json:"late"`          // behind one with a later time
	Cut         int64 `json:"cut"`           // by --snaplen
	Spilled     int64 `json:"spilled_bytes"` // written to --tmp
}

func (m *mergeRun) summarize(err error) {
	s := mergeSummary{
		Summary: m.summary(m.exitSoFar(err)), Inputs: len(m.inputs),
		PacketsIn: m.sieve.in.Load(), OutOfRange: m.sieve.outOfRange.Load(), OtherShards: m.sieve.otherShards.Load(),
		Filtered: m.sieve.filtered.Load(), Unwritable: m.sieve.unwritable.Load(), Duplicates: m.sieve.duplicated.Load(),
		PacketsOut: m.written.packets.Load(), Bytes: m.written.bytes.Load(), Late: m.late.Load(), Cut: m.sieve.cut.Load(), Spilled: m.runs.Spilled(),
	}
	s.Interrupted = s.PacketsIn - s.OutOfRange - s.OtherShards - s.Filtered - s.Unwritable - s.Duplicates - s.PacketsOut
	m.report.event(s)
	m.infof("%s, of %d inputs in %v", m.counters(), len(m.inputs), time.Since(m.started).Round(time.Millisecond))
}

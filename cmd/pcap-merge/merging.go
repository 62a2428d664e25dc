package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/merge"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// merging is one run of pcap-merge.
type merging struct {
	run      *tool.Run
	config   config
	opener   *input.Opener
	problems *input.Problems
	archives *input.Archives
	pool     *files.Pool
	captures *merge.Captures
	runs     *merge.Runs
	out      *files.Output

	inputs      []*merge.Input
	hasLinkType bool // the header of an input has named the link type of the output
	named       int  // files, folders' files, archives and streams
	excluded    int  // selected captures that are out of the range
	sound       int  // inputs that could be read
	again       bool // the inputs have been played, and their problems have been reported

	// These are safe for concurrent use.
	inputCount, late, packetsOut, bytesOut, unread atomic.Int64
	runInputs                                      atomic.Int64 // those of inputCount that come of streams
	isDone                                         atomic.Bool  // the merge has ended by itself
}

func newMerging(run *tool.Run, config config, opener *input.Opener) *merging {
	m := &merging{run: run, config: config, opener: opener, problems: input.NewProblems(run)}
	m.archives = &input.Archives{
		Context: run.Context, Opener: opener, Problems: m.problems, Count: run.Progress.Add, IgnoreZeros: config.ignoreZeros,
	}
	m.pool = files.NewPool(files.DescriptorLimit(), func(bytes int) { run.Progress.Add(int64(bytes)) })
	m.captures = merge.NewCaptures(m.pool, config.reorder, config.memory)
	m.runs = merge.NewRuns(config.memory, config.tmp, config.reorder, config.loop != 1)
	return m
}

// mergeAll writes the merged inputs to an output.
func (m *merging) mergeAll(out *files.Output) error {
	m.out = out
	play := m.playGrowing
	if m.config.follow != "" {
		if err := m.refuseOutputs(); err != nil {
			return err
		}
		m.run.Progress.Start(-1, nil)
	} else {
		defer context.AfterFunc(m.run.Context, m.pool.End)()
		if err := m.collect(); err != nil {
			return err
		}
		if err := m.checkFound(); err != nil {
			return err
		}
		play = m.play
	}
	m.config.writer.Written = m.countWritten
	m.config.writer.Background = out.TakesTime() || m.config.writer.Compression != stream.Uncompressed
	writer, err := stream.NewWriter(out, *m.config.writer)
	if err != nil {
		return err
	}
	err = play(writer)
	m.isDone.Store(err == nil)
	if err != nil && writer.HasPackets() {
		_ = writer.Close() // everything that was counted is written
	}
	m.problems.WarnSkipped()
	switch {
	case err != nil:
		return err
	case m.named > 0 && m.sound <= 0 && !writer.HasPackets():
		return tool.ErrReported
	}
	if late := m.late.Load(); late > 0 {
		m.run.Messages.Warnf("%s written after later ones: an input is out of order by more than %v", plural.Of(late, "packet"), time.Duration(m.config.reorder))
	}
	if text := m.config.rewriter.Explain(); text != "" {
		m.run.Messages.Warnf("%s", text)
	}
	if err := writer.Close(); err != nil {
		return tool.OutputError(m.out, err)
	}
	m.run.Messages.WarnInTunnel(m.config.selector.decap.Record())
	if m.packetsOut.Load() == 0 {
		m.config.selector.sayNothingLeft(m.run, m.excluded)
	}
	return m.sayUnwritable()
}

// checkFound fails the run if there is nothing to merge.
func (m *merging) checkFound() error {
	switch {
	case m.named > 0 && m.sound == 0:
		return tool.ErrReported
	case m.named > 0 || m.excluded > 0:
		return nil
	}
	m.problems.WarnSkipped()
	if m.config.selects && len(m.run.Flags.Operands()) == 0 {
		return fmt.Errorf("--select %s: no record of a capture", files.Display(m.run.Flags.String("select"), ""))
	}
	return input.NoCapture(m.run.Flags.Operands(), m.config.names)
}

// sayUnwritable reports the packets that were left out because of their times. The exit
// code becomes 3, or 1 with --strict.
func (m *merging) sayUnwritable() error {
	count := m.config.selector.unwritable.Load()
	switch {
	case count == 0:
		return nil
	case m.config.writer.PcapNG:
		m.run.Messages.Errorf("%s left out: a pcapng cannot hold times before 1970", plural.Of(count, "packet"))
	default:
		m.run.Messages.Errorf("%s left out: a pcap cannot hold times outside 1970 to 2106; --pcapng holds later ones", plural.Of(count, "packet"))
	}
	return m.problems.Stop()
}

// play writes the merged inputs as many times as --loop says. Each round follows the one
// before as in pcap-pace.
func (m *merging) play(writer *stream.Writer) error {
	inputs, err := m.runs.Fold(m.run.Context, m.inputs, merge.MostOpen, m.options(m.trouble))
	if err != nil {
		return mergeError(err)
	}
	m.inputs = inputs
	m.captures.Free() // what the runs of Fold need takes its place
	shift := int64(0)
	for round := int64(0); m.config.loop == 0 || round < m.config.loop; round++ {
		m.config.rewriter.SetRound(round)
		count, err := m.playOnce(writer, shift)
		if err != nil {
			return err
		}
		if count == 0 {
			return nil // so will the next round be
		}
		span := &m.config.selector.span
		shift = duration.After(shift, span.Round())
		m.again = true
		if end := duration.After(span.Latest(), shift); !m.config.writer.Holds(end) || end == math.MaxInt64 {
			return m.sayRoundsLeftOut(round)
		}
	}
	return nil
}

// sayRoundsLeftOut reports that the rounds after this one are left out, because the next one
// would end at a time that the output cannot hold. There may be no other round.
func (m *merging) sayRoundsLeftOut(round int64) error {
	if round+1 == m.config.loop {
		return nil
	}
	limit := "2106, and a pcap cannot hold later times; --pcapng holds them"
	if m.config.writer.PcapNG {
		limit = "2262, and no timestamp is later"
	}
	m.run.Messages.Errorf("--loop: ended after %s: the next one would end after %s", plural.Of(round+1, "round"), limit)
	return m.problems.Stop()
}

// options are those of the merge. With --decap, packets of several link types may become
// packets of one, so they are compared after it.
func (m *merging) options(trouble func(*merge.Input, error) error) merge.Options {
	return merge.Options{Mixed: m.config.writer.PcapNG || m.config.selector.decap != nil, Trouble: trouble}
}

// playOnce writes one round, later by shift nanoseconds, and returns its number of packets.
func (m *merging) playOnce(writer *stream.Writer, shift int64) (count int, err error) {
	merger, err := merge.New(m.inputs, m.options(m.trouble))
	if err != nil {
		return 0, mergeError(err)
	}
	defer merger.Close()
	defer func() { m.late.Add(merger.Late()) }()
	m.config.selector.rewind()
	batch := make([]stream.Packet, input.BatchPackets)
	for !m.config.selector.isPast() {
		if m.run.Context.Err() != nil {
			return count, m.run.Context.Err()
		}
		n, err := merger.Read(batch)
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return count, mergeError(err)
		}
		kept, err := m.config.selector.keep(batch[:n])
		if err != nil {
			return count, err
		}
		if m.config.selector.decap != nil && !m.config.writer.PcapNG {
			if err := merger.CheckLinkTypes(kept); err != nil {
				return count, mergeError(err)
			}
		}
		if shift != 0 {
			for i := range kept {
				kept[i].Time = duration.After(kept[i].Time, shift)
			}
		}
		if err := m.write(writer, kept); err != nil {
			return count, err
		}
		count += len(kept)
	}
	return count, nil
}

// write changes and cuts packets, and writes them.
func (m *merging) write(writer *stream.Writer, packets []stream.Packet) error {
	m.config.rewriter.Rewrite(packets)
	m.config.selector.cutLong(packets)
	if err := writer.Write(packets); err != nil {
		return tool.OutputError(m.out, err)
	}
	return nil
}

// mergeError adds a hint to an error of inputs that do not fit together.
func mergeError(err error) error {
	var linkTypes *merge.LinkTypesError
	if errors.As(err, &linkTypes) {
		return tool.WithHint(err, "--pcapng writes a capture that holds both")
	}
	return err
}

// trouble reports an error of an input, only once in all rounds. The merge continues with
// the other inputs, unless --strict is given.
func (m *merging) trouble(in *merge.Input, err error) error {
	if m.run.Context.Err() != nil {
		return m.run.Context.Err() // the pool has ended
	}
	var damage *stream.Damage
	damaged := errors.As(err, &damage)
	switch {
	case damaged && !m.again:
		m.problems.Damage(fileOf(in), damage)
	case !damaged:
		m.giveUp(in)
		m.streamFailed(fileOf(in), err)
	}
	return m.problems.Stop()
}

func fileOf(in *merge.Input) input.File { return input.File{Path: in.Path(), Archive: in.Archive()} }

// giveUp leaves an input out of later rounds.
func (m *merging) giveUp(in *merge.Input) {
	m.sound--
	m.inputs = slices.DeleteFunc(slices.Clone(m.inputs), func(other *merge.Input) bool { return other == in })
	m.inputCount.Store(int64(len(m.inputs)))
}

func (m *merging) countWritten(packets, bytes int64) {
	m.packetsOut.Add(packets)
	m.bytesOut.Add(bytes)
}

// packetsIn is how many packets have been read: by the merge, and until it is done also of
// streams that wait for it.
func (m *merging) packetsIn() int64 {
	in := m.config.selector.in.Load()
	if !m.isDone.Load() {
		in += m.runs.Held()
	}
	return in
}

// countInputs is how many inputs there are, those of a stream that is still read included.
func (m *merging) countInputs() int {
	return int(m.inputCount.Load() + max(m.runs.Begun()-m.runInputs.Load(), 0))
}

// counters is the line for SIGUSR1.
func (m *merging) counters() string {
	return fmt.Sprintf("%s in, %d out (%s)", plural.Of(m.packetsIn(), "packet"), m.packetsOut.Load(), plural.Of(m.bytesOut.Load(), "byte"))
}

func (m *merging) summary(head record.Summary) any {
	selector := m.config.selector
	s := record.MergeSummary{
		Summary: head, Inputs: m.countInputs(),
		PacketsIn: m.packetsIn(), OutOfRange: selector.outOfRange.Load(), OtherShards: selector.otherShards.Load(),
		Filtered: selector.filtered.Load(), Unwritable: selector.unwritable.Load(), Duplicates: selector.duplicated.Load(),
		PacketsOut: m.packetsOut.Load(), Bytes: m.bytesOut.Load(), Late: m.late.Load(), Cut: selector.cut.Load(), Spilled: m.runs.Spilled(),
		Unread: m.unread.Load(), Decap: selector.decap.Record(), Rewritten: m.config.rewriter.Record(),
	}
	s.Interrupted = s.PacketsIn - s.OutOfRange - s.OtherShards - s.Filtered - s.Unwritable - s.Duplicates - s.PacketsOut
	m.run.Messages.Infof("%s, of %s in %v", m.counters(), plural.Of(s.Inputs, "input"), m.run.Elapsed().Round(time.Millisecond))
	return s
}

package main

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"pcap-replay/internal/duplicates"
	"pcap-replay/internal/filter"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tunnel"
	"pcap-replay/stream"
)

// selector selects the packets that the flags of pcap-merge ask for. Each packet is either
// selected or counted.
type selector struct {
	from, to      int64 // to is exclusive
	decap         *tunnel.Decapsulator
	shard, shards uint32
	filter        *filter.Packets
	duplicates    *duplicates.Finder
	window        int64 // of duplicates; 0 keeps them
	sameness      duplicates.Sameness
	snaplen       uint32
	output        *stream.WriterOptions
	leftOut       tool.Times // of the packets out of the range
	isLoop        bool
	span          schedule.Span // of this round; of all shares, so that they stay in step
	behind        int           // successive packets that are not before to

	in, outOfRange, otherShards, filtered, duplicated atomic.Int64
	unwritable                                        atomic.Int64 // with times that the output cannot hold
	cut                                               atomic.Int64 // not lost, but shorter
}

// newSelector reads the flags that select packets.
func newSelector(flags *tool.Flags, output *stream.WriterOptions) (s *selector, err error) {
	s = &selector{output: output, isLoop: flags.Int64("loop") != 1}
	if s.from, s.to, err = flags.TimeRange(); err != nil {
		return nil, err
	}
	if text := flags.String("shard"); text != "" {
		if s.shard, s.shards, err = parseShard(text); err != nil {
			return nil, err
		}
	}
	if s.decap, err = tool.Decap(flags, tunnel.NewDecapsulator); err != nil {
		return nil, err
	}
	if s.filter, err = tool.Filter(flags, filter.NewPackets); err != nil {
		return nil, err
	}
	if err := s.readDuplicates(flags); err != nil {
		return nil, err
	}
	snaplen := flags.Int64("snaplen")
	if snaplen > math.MaxInt32 || snaplen < 1 && flags.IsSet("snaplen") {
		return nil, tool.UsageErrorf("--snaplen %d: wanted from 1 to %d", snaplen, math.MaxInt32)
	}
	s.snaplen = uint32(snaplen)
	return s, nil
}

// dedupWords are the values of --dedup, in the order of [duplicates.Sameness].
var dedupWords = []string{"bytes", "ip"}

// readDuplicates reads the flags that leave out duplicates.
func (s *selector) readDuplicates(flags *tool.Flags) error {
	if !flags.IsSet("dedup") {
		if flags.IsSet("dedup-window") {
			return tool.UsageErrorf("--dedup-window needs --dedup")
		}
		return nil
	}
	word, err := flags.OneOf("dedup", dedupWords)
	if err != nil {
		return err
	}
	for _, operand := range flags.Operands() {
		if _, err := os.Lstat(operand); slices.Contains(dedupWords, operand) && errors.Is(err, fs.ErrNotExist) {
			return tool.UsageErrorf("%q is not a file: wanted --dedup=%s", operand, operand)
		}
	}
	s.sameness = duplicates.Sameness(slices.Index(dedupWords, word))
	window, err := flags.PositiveDuration("dedup-window")
	s.window = int64(window)
	return err
}

// parseShard parses I/N, where I is from 0 to N-1, as the indexes of array jobs.
func parseShard(text string) (index, count uint32, err error) {
	first, second, _ := strings.Cut(text, "/")
	i, errIndex := strconv.ParseUint(first, 10, 32)
	n, errCount := strconv.ParseUint(second, 10, 32)
	if errIndex != nil || errCount != nil || i >= n {
		return 0, 0, tool.UsageErrorf("--shard %q: wanted I/N with I from 0 to N-1, such as 0/4", text)
	}
	return uint32(i), uint32(n), nil
}

// rewind begins another round.
func (s *selector) rewind() {
	s.behind, s.span = 0, schedule.Span{}
	if s.window > 0 {
		s.duplicates = duplicates.New(s.window, s.sameness)
	}
}

// pastLimit is the number of successive packets after --to from which the rest is taken to
// be after it, too: eight batches. A single packet may have a wrong time, but not thousands
// in a row in merged order.
const pastLimit = 4096

// isPast reports whether all packets before --to have been read.
func (s *selector) isPast() bool { return s.behind >= pastLimit }

// keep moves the selected packets to the front and returns them.
func (s *selector) keep(packets []stream.Packet) (kept []stream.Packet, err error) {
	s.in.Add(int64(len(packets)))
	kept = packets
	if s.from != math.MinInt64 || s.to != math.MaxInt64 {
		kept = chosen(kept, &s.outOfRange, s.isInRange)
	}
	s.decap.Decap(kept)
	if s.shards > 0 {
		s.measure(kept)
		kept = chosen(kept, &s.otherShards, func(p *stream.Packet) bool { return frame.Shard(p, s.shard, s.shards) })
	}
	if s.filter != nil {
		before := s.filter.Rejected()
		kept, err = s.filter.Keep(kept)
		s.filtered.Add(s.filter.Rejected() - before)
	}
	if !s.areWritable(kept) {
		kept = chosen(kept, &s.unwritable, func(p *stream.Packet) bool { return s.output.Holds(p.Time) })
	}
	if s.duplicates != nil {
		kept = chosen(kept, &s.duplicated, func(p *stream.Packet) bool { return !s.duplicates.Has(p) })
	}
	if s.shards == 0 {
		s.measure(kept)
	}
	return kept, err
}

// measure adds packets to the span of a round, except those that will not be written because
// of their times.
func (s *selector) measure(packets []stream.Packet) {
	if !s.isLoop {
		return
	}
	for i := range packets {
		if s.output.Holds(packets[i].Time) {
			s.span.Add(packets[i : i+1])
		}
	}
}

// areWritable reports whether the output can hold the times of all packets, which is almost
// always true.
func (s *selector) areWritable(packets []stream.Packet) bool {
	for i := range packets {
		if !s.output.Holds(packets[i].Time) {
			return false
		}
	}
	return true
}

// chosen moves the selected packets to the front and counts the others.
func chosen(packets []stream.Packet, dropped *atomic.Int64, wanted func(*stream.Packet) bool) []stream.Packet {
	kept := packets[:0]
	for i := range packets {
		if wanted(&packets[i]) {
			kept = append(kept, packets[i])
		}
	}
	dropped.Add(int64(len(packets) - len(kept)))
	return kept
}

// excludes reports whether a capture with packets from earliest to latest has none in the
// range. Both may be unknown.
func (s *selector) excludes(earliest, latest *int64) bool {
	return latest != nil && *latest < s.from || earliest != nil && *earliest >= s.to && s.to != math.MaxInt64
}

func (s *selector) isInRange(packet *stream.Packet) bool {
	if packet.Time >= s.to && s.to != math.MaxInt64 {
		s.behind++
		s.leftOut.Add(packet.Time)
		return false
	}
	s.behind = 0
	if packet.Time < s.from {
		s.leftOut.Add(packet.Time)
		return false
	}
	return true
}

// sayNothingLeft reports that every packet was left out. A share of the flows may be empty,
// which is no error. Excluded captures were not even read.
func (s *selector) sayNothingLeft(run *tool.Run, excluded int) {
	outOfRange, otherShards, filtered := s.outOfRange.Load(), s.otherShards.Load(), s.filtered.Load()
	if outOfRange+filtered == 0 && excluded == 0 && otherShards > 0 {
		run.Messages.Warnf("no packet is left: %s of other shares", plural.Of(otherShards, "packet"))
		return
	}
	run.Messages.NothingLeft(
		tool.LeftOut{Count: int64(excluded), Thing: "capture", Reason: run.Flags.RangeReason()},
		tool.LeftOut{Count: outOfRange, Thing: "packet", Reason: run.Flags.RangeReason()},
		tool.LeftOut{Count: otherShards, Thing: "packet", Reason: "of other shares"},
		tool.LeftOut{Count: filtered, Thing: "packet", Reason: "not matched by the filter"},
	)
	if outOfRange > 0 || excluded > 0 {
		run.Messages.Hint(s.leftOut.Hint())
	}
	run.Messages.Hint(s.filter.Hint())
}

// cutLong cuts packets by --snaplen.
func (s *selector) cutLong(packets []stream.Packet) {
	if s.snaplen == 0 {
		return
	}
	cut := 0
	for i := range packets {
		if uint(len(packets[i].Data)) > uint(s.snaplen) {
			packets[i].Data = packets[i].Data[:s.snaplen:s.snaplen]
			cut++
		}
	}
	s.cut.Add(int64(cut))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/files"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// pacer is one run of pcap-pace.
type pacer struct {
	run        *tool.Run
	config     config
	playback   *input.Playback
	out        *files.Output
	axis       *schedule.Axis
	departures []int64
	clock      schedule.Clock
	wait       func(moment int64) error
	begun      bool
	paused     bool       // a long pause was reported
	epoch      int64      // time of departure 0 on the clock
	base       int64      // timestamp of departure 0
	seen       int64      // when the clock was last looked at before a write
	leftOut    tool.Times // of the packets out of the range

	// These are safe for concurrent use.
	in, outOfRange, outOfOrder, disorder, latest atomic.Int64
	stalls                                       atomic.Int64
	pause                                        atomic.Int64 // moment until which nothing is due for long
	packetsOut, bytesOut                         atomic.Int64
}

func newPacer(run *tool.Run, config config, playback *input.Playback, out *files.Output) *pacer {
	return &pacer{
		run: run, config: config, playback: playback, out: out, clock: schedule.System, departures: make([]int64, input.BatchPackets),
	}
}

// playAll writes the inputs to the output.
func (p *pacer) playAll() error {
	if p.config.exact {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	p.wait = p.waiter()
	if p.config.fit > 0 && p.config.span == 0 {
		p.run.Progress.Start(p.playback.Size(), func() string { return p.run.Name() + ": measuring" })
		if err := p.measure(); err != nil {
			return err
		}
	}
	if p.config.fit > 0 {
		p.config.timeScale.Speed = schedule.Fit(p.config.span, p.config.fit)
	}
	p.axis = p.newAxis(p.config.timeScale)
	p.run.Progress.Start(input.TimesSize(p.playback.Size(), p.config.loop), nil)
	p.run.Progress.Settled(func() (n, of int64) { return p.packetsOut.Load() + p.outOfRange.Load(), p.in.Load() })
	p.config.writer.Written = p.countWritten
	writer, err := stream.NewWriter(p.out, p.config.writer)
	if err != nil {
		return err
	}
	if err := p.play(writer); err != nil {
		if writer.HasPackets() {
			_ = writer.Close() // everything that was counted is written
		}
		return err
	}
	if text := p.config.rewriter.Explain(); text != "" {
		p.run.Messages.Warnf("%s", text)
	}
	if err := writer.Close(); err != nil {
		return tool.OutputError(p.out, err)
	}
	if p.packetsOut.Load() == 0 && p.outOfRange.Load() > 0 {
		p.run.Messages.NothingLeft(tool.LeftOut{Count: p.outOfRange.Load(), Thing: "packet", Reason: p.run.Flags.RangeReason()})
		p.run.Messages.Hint(p.leftOut.Hint())
	}
	return nil
}

// newAxis begins at --from with --start-at: if several machines play shares of a set, only
// one of them has the first packet of the set.
func (p *pacer) newAxis(scale schedule.TimeScale) *schedule.Axis {
	axis := schedule.NewAxis(scale)
	if p.config.startAt != nil && p.config.from != math.MinInt64 {
		axis.StartAt(p.config.from)
	}
	return axis
}

// waiter returns the way to wait.
func (p *pacer) waiter() func(moment int64) error {
	if p.config.exact {
		schedule.PreferThread()
		exact := schedule.NewWaiter(p.clock, func() bool { return p.run.Context.Err() != nil })
		return func(moment int64) error {
			if _, ok := exact.Until(moment); !ok {
				return context.Cause(p.run.Context)
			}
			return nil
		}
	}
	return func(moment int64) error {
		timer := time.NewTimer(time.Duration(moment - p.clock.Now()))
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-p.run.Context.Done():
			return context.Cause(p.run.Context)
		}
	}
}

// measure reads the inputs to find the duration of one round.
func (p *pacer) measure() error {
	axis := p.newAxis(schedule.TimeScale{})
	batch := make([]stream.Packet, input.BatchPackets)
	for {
		n, begins, err := p.playback.Read(batch)
		if err == io.EOF {
			err = p.playback.Rewind()
			p.playback.ForgetPosition()
			return err
		}
		if err != nil {
			return err
		}
		if begins {
			axis.BeginSection()
		}
		for i := range batch[:n] {
			if p.isInRange(&batch[i]) {
				p.config.span = axis.Departure(&batch[i])
			}
		}
	}
}

// play writes the inputs as many times as --loop says.
func (p *pacer) play(writer *stream.Writer) error {
	for round := int64(0); p.config.loop == 0 || round < p.config.loop; round++ {
		if round > 0 {
			if err := p.playback.Rewind(); err != nil {
				return err
			}
		}
		p.config.rewriter.SetRound(round)
		before := p.in.Load() - p.outOfRange.Load()
		if err := p.playOnce(writer); err != nil {
			return err
		}
		if p.in.Load()-p.outOfRange.Load() == before {
			return nil // the next round will have none either
		}
	}
	return nil
}

func (p *pacer) playOnce(writer *stream.Writer) error {
	batch := make([]stream.Packet, input.BatchPackets)
	for {
		n, begins, err := p.playback.Read(batch)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if begins {
			p.axis.BeginSection()
		}
		p.in.Add(int64(n))
		kept := p.selectRange(batch[:n])
		if err := p.release(writer, kept); err != nil {
			return err
		}
		if !p.playback.Buffered() {
			if err := writer.Flush(); err != nil {
				return tool.OutputError(p.out, err)
			}
		}
	}
}

// selectRange moves the packets that are in the range to the front, and counts the others.
func (p *pacer) selectRange(packets []stream.Packet) []stream.Packet {
	kept := packets[:0]
	for i := range packets {
		if p.isInRange(&packets[i]) {
			kept = append(kept, packets[i])
		} else {
			p.leftOut.Add(packets[i].Time)
		}
	}
	p.outOfRange.Add(int64(len(packets) - len(kept)))
	return kept
}

// isInRange includes packets with the last possible time, unless --to is given.
func (p *pacer) isInRange(packet *stream.Packet) bool {
	return packet.Time >= p.config.from && (packet.Time < p.config.to || p.config.to == math.MaxInt64)
}

// releaseWindow is how long before its departure a packet may be written together with one
// that is due.
const releaseWindow = int64(time.Millisecond)

// release writes packets as they become due, with one write for all that are due.
func (p *pacer) release(writer *stream.Writer, packets []stream.Packet) error {
	if len(packets) == 0 {
		return nil
	}
	if !p.begun {
		p.begin(packets[0].Time)
	}
	p.stamp(packets)
	for first := 0; first < len(packets); {
		count := len(packets) - first
		if !p.config.asap {
			if err := p.waitFor(writer, p.departures[first]); err != nil {
				return err
			}
			count = p.countDue(p.departures[first:len(packets)])
		}
		ready := packets[first : first+count]
		p.config.rewriter.Rewrite(ready)
		if err := writer.Write(ready); err != nil {
			var linkTypes *stream.LinkTypeError
			if errors.As(err, &linkTypes) {
				err = files.Named(p.playback.Current(), err)
			}
			return tool.OutputError(p.out, err)
		}
		first += count
	}
	return nil
}

// begin maps the axis to the clock and to the timestamps that are written. It replaces a
// first timestamp that the output cannot hold, because only differences matter.
func (p *pacer) begin(first int64) {
	p.begun = true
	p.epoch = p.clock.Now()
	p.seen = p.epoch
	p.base = first
	switch {
	case p.config.startAt != nil:
		p.base, p.epoch = *p.config.startAt, schedule.Moment(*p.config.startAt)
	case !p.config.keep && (!p.config.writer.Holds(first) || first == math.MaxInt64): // the last possible time also stands for all later ones
		p.base = 0
		p.run.Messages.Warnf("the first packet is of %s, which the output cannot hold: the stream is moved to 1970", time.Unix(0, first).UTC().Format(time.RFC3339))
	}
}

// stamp computes the departures of packets and writes them into the timestamps.
func (p *pacer) stamp(packets []stream.Packet) {
	for i := range packets {
		departure := p.axis.Departure(&packets[i])
		p.departures[i] = departure
		if !p.config.keep {
			packets[i].Time = duration.After(p.base, departure)
		}
	}
	outOfOrder, disorder := p.axis.OutOfOrder()
	p.outOfOrder.Store(outOfOrder)
	p.disorder.Store(disorder)
}

// due is when to write a packet with this departure.
func (p *pacer) due(departure int64) int64 {
	return duration.After(p.epoch, departure) - int64(p.config.lead)
}

// waitFor waits for a departure, after flushing everything before it.
func (p *pacer) waitFor(writer *stream.Writer, departure int64) error {
	due, now := p.due(departure), p.clock.Now()
	if due > now {
		if err := writer.Flush(); err != nil {
			return tool.OutputError(p.out, err)
		}
		if due-now > schedule.PauseLimit {
			p.tellPause(departure, due)
		}
		if err := p.wait(due); err != nil {
			return err
		}
		now = p.clock.Now()
	}
	p.noteLateness(due, now)
	p.seen = now
	return p.run.Context.Err()
}

// tellPause prints once that nothing will be written for a while. The progress line shows
// every such pause.
func (p *pacer) tellPause(departure, due int64) {
	p.pause.Store(due)
	if p.paused || p.run.Messages.Quiet() {
		return
	}
	p.paused = true
	text := p.pauseText()
	if scale := &p.config.timeScale; departure > 0 && p.config.fit == 0 && scale.Packets == 0 && scale.Bits == 0 {
		text += " (--max-gap 1s shortens pauses)"
	}
	p.run.Messages.Say(text)
}

// pauseText returns when the next packet is due, during a long pause.
func (p *pacer) pauseText() string {
	left := p.pause.Load() - p.clock.Now()
	if left <= 0 {
		return ""
	}
	return "next packet in " + duration.Text(time.Duration(left).Seconds())
}

// noteLateness records packets that are written late. After a stall, the rest is written
// later by the same time instead of in a burst, except with --start-at. A stall that is
// shorter than the lead delays nothing.
func (p *pacer) noteLateness(due, now int64) {
	late, fixed := now-due, p.config.startAt != nil
	stalled := schedule.Stalled(due, p.seen, now) && late > int64(p.config.lead)
	if !stalled || fixed {
		p.latest.Store(max(p.latest.Load(), late))
	}
	if !stalled {
		return
	}
	then := "what should have been written meanwhile comes at once"
	if !fixed {
		then = "the rest comes that much later"
		p.epoch += late
	}
	if p.stalls.Add(1) == 1 {
		p.run.Messages.Warnf("wrote nothing for %v, because the tool, the machine or the reader was stopped or too busy: %s",
			time.Duration(late).Round(time.Millisecond), then)
	}
}

// countDue is the number of departures that are due now. The first one is due.
func (p *pacer) countDue(departures []int64) int {
	now := p.clock.Now()
	if !p.config.exact {
		now += releaseWindow
	}
	for i := 1; i < len(departures); i++ {
		if p.due(departures[i]) > now {
			return i
		}
	}
	return len(departures)
}

func (p *pacer) countWritten(packets, bytes int64) {
	p.packetsOut.Add(packets)
	p.bytesOut.Add(bytes)
}

// line returns the text for SIGUSR1 and the progress line.
func (p *pacer) line() string {
	if pause := p.pauseText(); pause != "" {
		return p.counters() + ", " + pause
	}
	return p.counters()
}

// counters returns the numbers of packets read and written.
func (p *pacer) counters() string {
	return fmt.Sprintf("%s in, %d out (%s)", plural.Of(p.in.Load(), "packet"), p.packetsOut.Load(), plural.Of(p.bytesOut.Load(), "byte"))
}

func (p *pacer) summary(head record.Summary) any {
	line := fmt.Sprintf("%s in %v", p.counters(), p.run.Elapsed().Round(time.Millisecond))
	if p.run.Context.Err() != nil && !p.run.Messages.Quiet() {
		p.run.Messages.Say(line)
	} else {
		p.run.Messages.Infof("%s", line)
	}
	in, outOfRange, out := p.in.Load(), p.outOfRange.Load(), p.packetsOut.Load()
	return record.PaceSummary{
		Summary: head, PacketsIn: in, OutOfRange: outOfRange, Interrupted: in - outOfRange - out,
		PacketsOut: out, Bytes: p.bytesOut.Load(), OutOfOrder: p.outOfOrder.Load(),
		MaxDisorder: record.Seconds(p.disorder.Load()), MaxLateness: record.Seconds(p.latest.Load()), Stalls: p.stalls.Load(),
		Rewritten: p.config.rewriter.Record(),
	}
}

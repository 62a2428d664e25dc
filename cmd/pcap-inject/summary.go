package main

import (
	"cmp"
	"fmt"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
)

func latenessText(l *record.Lateness) string {
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s",
		duration.Text(l.P50), duration.Text(l.P90), duration.Text(l.P99), duration.Text(l.P999), duration.Text(l.Max))
}

// figures are the counters at one point in time.
type figures struct {
	packets, frames, bytes int64
	underruns, stalls      int64
	began, ended           int64
}

func (in *injection) figures() (f figures) {
	for _, t := range in.transmissions {
		packets, frames, bytes := t.Sent()
		f.packets, f.frames, f.bytes = f.packets+packets, f.frames+frames, f.bytes+bytes
		underruns, stalls := t.Underruns()
		f.underruns, f.stalls = f.underruns+underruns, f.stalls+stalls
		began, ended := t.Span()
		if began != 0 && (f.began == 0 || began < f.began) {
			f.began = began
		}
		f.ended = max(f.ended, ended)
	}
	return f
}

func (in *injection) lateness() schedule.Quantiles {
	return schedule.MergeLateness(in.allLateness()...)
}

func (in *injection) allLateness() []*schedule.Lateness {
	all := make([]*schedule.Lateness, len(in.transmissions))
	for i, t := range in.transmissions {
		all[i] = t.Lateness
	}
	return all
}

func newLatenessRecord(q schedule.Quantiles) *record.Lateness {
	return &record.Lateness{P50: record.Seconds(q.P50), P90: record.Seconds(q.P90), P99: record.Seconds(q.P99), P999: record.Seconds(q.P999), Max: record.Seconds(q.Max)}
}

// sayHistogram draws the histogram of lateness.
func (in *injection) sayHistogram() {
	columns, _, ok := in.run.Terminal()
	if !ok {
		return
	}
	counts := schedule.CountLateness(latenessBounds, in.allLateness()...)
	for _, line := range histogram(latenessBounds, counts, columns-len(in.run.Name())-len(": ")) {
		in.run.Messages.Say(line)
	}
}

// verified adds the lateness by the kernel's timestamps.
func (in *injection) verified(s *record.InjectSummary) {
	if len(in.verifiers) == 0 {
		return
	}
	all := make([]*schedule.Lateness, len(in.verifiers))
	for i, v := range in.verifiers {
		all[i] = v.lateness
		s.Stamped += v.stamped.Load()
	}
	s.Verified = newLatenessRecord(schedule.MergeLateness(all...))
}

// summary is the last event of the report.
func (in *injection) summary(head record.Summary) any {
	f, feeder := in.figures(), in.feeder
	s := record.InjectSummary{
		Summary: head, PacketsIn: feeder.in.Load(), Filtered: feeder.filtered.Load(),
		PacketsOut: f.packets, Frames: f.frames, Bytes: f.bytes, Duration: record.Seconds(f.ended - f.began),
		Overlong: feeder.overlong.Load(), Decap: feeder.decap.Record(), OutOfOrder: feeder.outOfOrder.Load(), MaxDisorder: record.Seconds(feeder.disorder.Load()), Underruns: f.underruns, Stalls: f.stalls,
		Rewritten: feeder.rewriter.Record(),
	}
	in.sink.describe(&s)
	in.describeEgresses(&s)
	s.ReadAhead = s.PacketsIn - s.Filtered - s.Skipped.Total() - s.PacketsOut
	if s.Duration > 0 {
		s.PPS, s.BPS = float64(s.PacketsOut)/s.Duration, 8*float64(s.Bytes)/s.Duration
	}
	if !in.config.asap && f.packets > 0 {
		s.Lateness = newLatenessRecord(in.lateness())
	}
	in.verified(&s)
	in.run.Messages.WarnInTunnel(s.Decap)
	if !in.run.Messages.Quiet() {
		in.run.Progress.Finish()
		in.saySummary(&s)
	}
	return s
}

// describeEgresses adds what happened to packets before they were sent. With --split, it adds
// that also for each interface.
func (in *injection) describeEgresses(s *record.InjectSummary) {
	for i, egress := range in.feeder.egresses {
		skipped := record.NotSent{
			Oversize: egress.skipped[frame.SkippedOversize].Load(), Short: egress.skipped[frame.SkippedShort].Load(),
			LinkType: egress.skipped[frame.SkippedLinkType].Load(),
		}
		padded, truncated, segmented := egress.fitter.Padded.Load(), egress.fitter.Truncated.Load(), egress.fitter.Segmented.Load()
		s.Skipped.Add(skipped)
		s.Padded, s.Truncated, s.Segmented = s.Padded+padded, s.Truncated+truncated, s.Segmented+segmented
		if in.config.split != nil {
			of := &s.Interfaces[i]
			of.Skipped, of.Padded, of.Truncated, of.Segmented = skipped, padded, truncated, segmented
		}
	}
}

// sayNothingLeft reports that the filter has left out every packet.
func (in *injection) sayNothingLeft() {
	filtered := in.feeder.filtered.Load()
	if filtered == in.feeder.in.Load() && in.run.Context.Err() == nil {
		in.run.Messages.NothingLeft(tool.LeftOut{Count: filtered, Thing: "packet", Reason: "not matched by the filter"})
		in.run.Messages.Hint(in.feeder.filter.Hint())
	}
}

// checkLateness returns the error of --fail-late.
func (in *injection) checkLateness() error {
	limit := in.config.failLate
	if limit == 0 || in.figures().packets == 0 {
		return nil
	}
	p99 := time.Duration(in.lateness().P99)
	if p99 <= limit {
		return nil
	}
	late := fmt.Errorf("p99 lateness %s is over %s: too late", duration.Text(p99.Seconds()), duration.Text(limit.Seconds()))
	return tool.WithExitCode(tool.WithHint(late, "see Tuning in pcap-replay(7)"), tool.ExitLate)
}

// saySummary prints the summary.
func (in *injection) saySummary(s *record.InjectSummary) {
	if (s.Exit == tool.ExitFailed || s.Exit == tool.ExitUsage) && s.PacketsOut == 0 {
		return // the error says enough
	}
	sent := fmt.Sprintf("sent %s, %s in %v", plural.Of(s.PacketsOut, "packet"), plural.Of(s.Bytes, "byte"),
		time.Duration(s.Duration*1e9).Round(time.Microsecond))
	if s.Duration > 0 { // packets that left at one time have no rate
		sent += ": " + rates(s.PPS, s.BPS)
	}
	in.run.Messages.Say(sent)
	if s.Lateness != nil {
		in.run.Messages.Say("lateness " + latenessText(s.Lateness))
		in.sayHistogram()
	}
	if s.Verified != nil {
		in.run.Messages.Say(fmt.Sprintf("lateness %s, by the kernel's timestamps of %s", latenessText(s.Verified), plural.Of(s.Stamped, "frame")))
	}
	decapsulated := int64(0)
	if s.Decap != nil {
		decapsulated = s.Decap.Packets
	}
	for _, count := range []struct {
		number int64
		text   string
	}{
		{decapsulated, "taken out of a tunnel"},
		{s.Filtered, "filtered out"},
		{s.Skipped.Oversize, "not sent: longer than can be sent"},
		{s.Skipped.Short, "not sent: the capture holds too little"},
		{s.Skipped.LinkType, "not sent: the link type does not fit"},
		{s.ReadAhead, "read, but not sent when the run ended"},
		{s.Overlong, "with more bytes in the capture than on the wire"},
		{s.Padded, "padded to their length on the wire"},
		{s.Truncated, "truncated"},
		{s.Segmented, "cut into segments, so that there were " + plural.Of(s.Frames, "frame")},
		{s.OutOfOrder, "out of order, and sent at once"},
	} {
		if count.number > 0 {
			in.run.Messages.Say(plural.Of(count.number, "packet") + " " + count.text)
		}
	}
	if text := in.feeder.rewriter.Explain(); text != "" {
		in.run.Messages.Say(text)
	}
	if s.Undecided > 0 {
		in.run.Messages.Say(plural.Of(s.Undecided, "frame") + " left on the first interface because --split could not decide")
	}
	for _, i := range s.Interfaces {
		in.run.Messages.Say(fmt.Sprintf("%s sent %s, %s", i.Interface, plural.Of(i.Frames, "frame"), plural.Of(i.Bytes, "byte")))
		in.sayDevice(&i)
	}
	if len(s.Interfaces) == 0 {
		in.sayDevice(&record.InterfaceSummary{Interface: cmp.Or(s.Interface, s.To), Frames: s.Frames, Retries: s.Retries, Device: s.Device})
	}
	if empty := s.Underruns - s.Stalls; empty > 0 {
		in.run.Messages.Say(plural.Of(empty, "underrun") + ": the buffer was empty when a packet was to leave")
	}
	if s.Stalls > 0 {
		in.run.Messages.Say(plural.Of(s.Stalls, "underrun") + ": sending was interrupted when a packet was to leave")
	}
}

// sayDevice prints what went wrong on an interface, and counts of the device that differ
// from the tool's.
func (in *injection) sayDevice(i *record.InterfaceSummary) {
	if i.Retries > 0 {
		in.run.Messages.Say(fmt.Sprintf("%s had no room %s; the frames were sent again", i.Interface, plural.Of(int64(i.Retries), "time")))
	}
	if d := i.Device; d != nil && (d.Packets != uint64(i.Frames) || d.Dropped > 0 || d.Errors > 0) {
		in.run.Messages.Say(fmt.Sprintf("%s counted %s sent by all programs, %d dropped, %s", i.Interface, plural.Of(d.Packets, "packet"), d.Dropped, plural.Of(d.Errors, "error")))
	}
}

// now returns the current figures.
func (in *injection) now() record.Progress {
	f := in.figures()
	e := record.Progress{
		Event: "progress", Tool: in.run.Name(), Time: record.Time(time.Now().UnixNano()), PacketsOut: f.packets, Bytes: f.bytes,
	}
	if elapsed := record.Seconds(schedule.System.Now() - f.began); f.began != 0 && elapsed > 0 {
		e.PPS, e.BPS = float64(f.packets)/elapsed, 8*float64(f.bytes)/elapsed
	}
	if !in.config.asap {
		p99 := record.Seconds(in.lateness().P99)
		e.P99 = &p99
	}
	for _, t := range in.transmissions {
		e.Buffer = max(e.Buffer, t.Ring.Fill())
	}
	return e
}

// line returns the counters for SIGUSR1 and the progress line.
func (in *injection) line() string {
	e := in.now()
	line := fmt.Sprintf("%d sent, %s", e.PacketsOut, rates(e.PPS, e.BPS))
	if in.config.asap {
		return fmt.Sprintf("%s, buffer %.0f %%", line, 100*e.Buffer)
	}
	now := schedule.System.Now()
	late := "p99 " + duration.Text(*e.P99) + " late"
	if pause := in.pauseText(now); pause != "" {
		return fmt.Sprintf("%d sent, %s, %s", e.PacketsOut, pause, late)
	}
	return fmt.Sprintf("%s, %s, buffer %s ahead", line, late, duration.Text(in.ahead(now).Seconds()))
}

// ahead returns how much of the stream is buffered.
func (in *injection) ahead(now int64) (most time.Duration) {
	for _, t := range in.transmissions {
		most = max(most, t.Ahead(now))
	}
	return most
}

// settled is the number of packets that were read, and were sent or will not be sent.
func (in *injection) settled() (n, of int64) {
	n = in.feeder.filtered.Load() + in.figures().packets
	for reason := range frame.SkipReasons {
		n += in.feeder.skipped(reason)
	}
	return n, in.feeder.in.Load()
}

// reportProgress writes an event twice a second until the run ends.
func (in *injection) reportProgress(ended <-chan struct{}) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			in.run.Report.Event(in.now())
		}
	}
}

// rates formats packets and bits per second.
func rates(pps, bps float64) string { return scaled(pps, "pps") + ", " + scaled(bps, "bit/s") }

func scaled(value float64, unit string) string {
	for _, prefix := range []string{"", "k", "M"} {
		if value < 999.5 {
			return fmt.Sprintf("%.3g %s%s", value, prefix, unit)
		}
		value /= 1000
	}
	return fmt.Sprintf("%.3g G%s", value, unit)
}

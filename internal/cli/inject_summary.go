package cli

import (
	"fmt"
	"time"

	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
)

// underrunEvent says that the buffer was empty when a packet was to leave.
type underrunEvent struct {
	Event     string      `json:"event"` // "underrun"
	Tool      string      `json:"tool"`
	Time      record.Time `json:"time"`
	Departure float64     `json:"departure"` // seconds after the first packet, as planned
	Missing   float64     `json:"missing"`   // seconds by which the packet came too late
}

// latenessRecord has seconds after the planned departure.
type latenessRecord struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (l *latenessRecord) String() string {
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", micros(l.P50), micros(l.P90), micros(l.P99), micros(l.P999), micros(l.Max))
}

type skippedRecord struct {
	Oversize int64 `json:"oversize"`
	Short    int64 `json:"short"`
	LinkType int64 `json:"link_type"`
}

func (s skippedRecord) total() int64 { return s.Oversize + s.Short + s.LinkType }

// injectSummary ends the report: packets_in is packets_out and all that is named
// between them.
type injectSummary struct {
	record.Summary
	PacketsIn   int64           `json:"packets_in"`
	Filtered    int64           `json:"filtered"`
	Skipped     skippedRecord   `json:"skipped"`
	ReadAhead   int64           `json:"read_ahead"` // when the run was ended before the stream
	PacketsOut  int64           `json:"packets_out"`
	Frames      int64           `json:"frames"` // that packets_out were sent as
	Bytes       int64           `json:"bytes"`  // of frames
	Duration    float64         `json:"duration"`
	PPS         float64         `json:"pps"`      // of packets_out
	BPS         float64         `json:"bps"`      // of bytes, in bits
	Overlong    int64           `json:"overlong"` // with more bytes in the capture than on the wire
	Padded      int64           `json:"padded"`
	Truncated   int64           `json:"truncated"`
	Segmented   int64           `json:"segmented"`
	OutOfOrder  int64           `json:"out_of_order"` // that were sent at once
	MaxDisorder float64         `json:"max_disorder"`
	Lateness    *latenessRecord `json:"lateness,omitempty"`
	Stamped     int64           `json:"stamped,omitempty"`  // frames, by the kernel
	Verified    *latenessRecord `json:"verified,omitempty"` // lateness by the kernel's stamps
	Underruns   int64           `json:"underruns"`
	Interface   string          `json:"interface,omitempty"`
	Tx          string          `json:"tx,omitempty"`
	Retries     uint64          `json:"retries"` // because the device had no room
	Device      *deviceRecord   `json:"device,omitempty"`
}

// figures are the counters at some moment.
type figures struct {
	packets, frames, bytes, underruns int64
	began, ended                      int64
}

func (in *injection) figures() (f figures) {
	for _, t := range in.transmissions {
		packets, frames, bytes := t.Sent()
		f.packets, f.frames, f.bytes = f.packets+packets, f.frames+frames, f.bytes+bytes
		f.underruns += t.Underruns()
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

func newLatenessRecord(q schedule.Quantiles) *latenessRecord {
	return &latenessRecord{seconds(q.P50), seconds(q.P90), seconds(q.P99), seconds(q.P999), seconds(q.Max)}
}

// verified adds what the kernel's stamps tell.
func (in *injection) verified(s *injectSummary) {
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

// summarize says how the run went, and whether it was on time.
func (in *injection) summarize(err error) error {
	f := in.figures()
	s := injectSummary{
		PacketsIn: in.feeder.in.Load(), Filtered: in.feeder.filtered.Load(),
		Skipped: skippedRecord{
			Oversize: in.feeder.skipped[skippedOversize].Load(), Short: in.feeder.skipped[skippedShort].Load(),
			LinkType: in.feeder.skipped[skippedLinkType].Load(),
		},
		PacketsOut: f.packets, Frames: f.frames, Bytes: f.bytes, Duration: seconds(f.ended - f.began),
		Overlong: in.feeder.overlong.Load(),

		Padded: in.feeder.framer.paddings.Load(), Truncated: in.feeder.framer.truncations.Load(),
		Segmented: in.feeder.framer.segmentations.Load(),

		OutOfOrder: in.feeder.outOfOrder.Load(), MaxDisorder: seconds(in.feeder.disorder.Load()), Underruns: f.underruns,
	}
	if in.wire != nil {
		s.Interface, s.Tx, s.Retries, s.Device = in.wire.device.Name, in.wire.tx, in.wire.retries(), in.wire.counted()
	}
	s.ReadAhead = s.PacketsIn - s.Filtered - s.Skipped.total() - s.PacketsOut
	if s.Duration > 0 {
		s.PPS, s.BPS = float64(s.PacketsOut)/s.Duration, 8*float64(s.Bytes)/s.Duration
	}
	if !in.asap && f.packets > 0 {
		q := in.lateness()
		s.Lateness = newLatenessRecord(q)
		if err == nil && in.failLate > 0 && q.P99 > int64(in.failLate) {
			err = fmt.Errorf("p99 lateness %v is over %v: %w", time.Duration(q.P99), in.failLate, errLate)
		}
	}
	s.Summary = in.summary(in.exitSoFar(err))
	in.verified(&s)
	in.report.event(s)
	if !in.quiet {
		in.progress.finish()
		in.saySummary(&s)
	}
	return err
}

// saySummary prints the summary for people.
func (in *injection) saySummary(s *injectSummary) {
	in.say(fmt.Sprintf("sent %s, %d bytes in %v: %s", plural(s.PacketsOut, "packet"), s.Bytes,
		time.Duration(s.Duration*1e9).Round(time.Microsecond), rates(s.PPS, s.BPS)))
	if s.Lateness != nil {
		in.say("lateness " + s.Lateness.String())
		in.sayHistogram()
	}
	if s.Verified != nil {
		in.say(fmt.Sprintf("lateness %s, by the kernel's stamps of %s", s.Verified, plural(s.Stamped, "frame")))
	}
	for _, count := range []struct {
		number int64
		text   string
	}{
		{s.Filtered, "filtered out"},
		{s.Skipped.Oversize, "not sent: longer than can be sent"},
		{s.Skipped.Short, "not sent: the capture holds too little"},
		{s.Skipped.LinkType, "not sent: the link type does not fit"},
		{s.ReadAhead, "read, but not sent when the run ended"},
		{s.Overlong, "with more bytes in the capture than on the wire"},
		{s.Padded, "padded to their length on the wire"},
		{s.Truncated, "truncated"},
		{s.Segmented, fmt.Sprintf("cut into segments, so that there were %d frames", s.Frames)},
		{s.OutOfOrder, "out of order, and sent at once"},
	} {
		if count.number > 0 {
			in.say(plural(count.number, "packet") + " " + count.text)
		}
	}
	if s.Retries > 0 {
		in.say(fmt.Sprintf("%d times %s had no room, and was asked again", s.Retries, s.Interface))
	}
	if d := s.Device; d != nil && (d.Packets != uint64(s.Frames) || d.Dropped > 0 || d.Errors > 0) {
		in.say(fmt.Sprintf("%s counted %d packets sent, %d dropped, %d errors", s.Interface, d.Packets, d.Dropped, d.Errors))
	}
	if s.Underruns > 0 {
		in.say(plural(s.Underruns, "underrun") + ": the buffer was empty when a packet was to leave")
	}
}

// progressEvent is how a run goes, twice a second.
type progressEvent struct {
	Event      string      `json:"event"` // "progress"
	Tool       string      `json:"tool"`
	Time       record.Time `json:"time"`
	PacketsOut int64       `json:"packets_out"`
	Bytes      int64       `json:"bytes"`
	PPS        float64     `json:"pps"` // since the first packet left
	BPS        float64     `json:"bps"`
	P99        *float64    `json:"lateness_p99,omitempty"` // seconds
	Buffer     float64     `json:"buffer"`                 // how full it is, from 0 to 1
}

// now gives the figures of this moment.
func (in *injection) now() progressEvent {
	f := in.figures()
	e := progressEvent{
		Event: "progress", Tool: in.tool.Name, Time: record.Time(time.Now().UnixNano()), PacketsOut: f.packets, Bytes: f.bytes,
	}
	if elapsed := seconds(schedule.System.Now() - f.began); f.began != 0 && elapsed > 0 {
		e.PPS, e.BPS = float64(f.packets)/elapsed, 8*float64(f.bytes)/elapsed
	}
	if !in.asap {
		p99 := seconds(in.lateness().P99)
		e.P99 = &p99
	}
	for _, t := range in.transmissions {
		e.Buffer = max(e.Buffer, t.Ring.Fill())
	}
	return e
}

// line is the counters for SIGUSR1 and the progress line.
func (in *injection) line() string {
	e := in.now()
	late := ""
	if e.P99 != nil {
		late = ", p99 " + micros(*e.P99) + " late"
	}
	return fmt.Sprintf("%d sent, %s%s, buffer %.0f %%", e.PacketsOut, rates(e.PPS, e.BPS), late, 100*e.Buffer)
}

// settled is how many of the packets read have been sent, or will not be.
func (in *injection) settled() (n, of int64) {
	n = in.feeder.filtered.Load() + in.figures().packets
	for i := range in.feeder.skipped {
		n += in.feeder.skipped[i].Load()
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
			in.report.event(in.now())
		}
	}
}

// rates are packets and bits a second for people.
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

// micros is a short duration for people.
func micros(seconds float64) string { return fmt.Sprintf("%.1f us", seconds*1e6) }

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/stream"
)

// Pace is pcap-pace.
func Pace() *Tool {
	return &Tool{
		Name:     "pcap-pace",
		Usage:    "give a stream out in real time",
		Operands: "[FILE | FOLDER ...]",
		Text: "Reads captures, one after another, or stdin, and writes one capture: the same packets,\n" +
			"each at its moment and stamped with it. The first packet keeps its timestamp; the others\n" +
			"follow on the axis that the flags bend. A packet out of order leaves at once.\n\n" +
			"A capture of the stream that starts later than the last one ended keeps its gap; one\n" +
			"that starts earlier follows after the mean gap of the last one.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "speed", Usage: "let time pass `X` times as fast, such as 2, 0.5 or 1/3"},
			&cli.StringFlag{Name: "fit", Usage: "let the whole take `DURATION`; each round, with --loop"},
			&cli.StringFlag{Name: "span", Usage: "the whole is `DURATION` long, for --fit"},
			&cli.StringFlag{Name: "select", Usage: "the whole is as long as the records of pcap-map in `FILE` say, for --fit"},
			&cli.StringFlag{Name: "pps", Usage: "`N` packets a second, evenly, such as 5000 or 10k"},
			&cli.StringFlag{Name: "bps", Usage: "`N` bits a second of lengths on the wire, evenly, such as 10M"},
			&cli.StringFlag{Name: "max-gap", Usage: "shorten longer gaps to `DURATION`"},
			&cli.Int64Flag{Name: "loop", Value: 1, Usage: "play the files `N` times (0: for ever)"},
			&cli.StringFlag{Name: "start-at", Usage: "the moment of --from, or else the first packet, leaves at `TIME`, and all are stamped for pcap-inject --at"},
			&cli.StringFlag{Name: "lead", Usage: "give packets out by `DURATION` earlier than they are stamped", DefaultText: "0; 1s with --start-at"},
			&cli.BoolFlag{Name: "exact", Usage: "wait to the microsecond, for what sends a packet as soon as it comes"},
			&cli.BoolFlag{Name: "asap", Usage: "stamp, and do not wait"},
			&cli.BoolFlag{Name: "keep-timestamps", Usage: "do not stamp"},
			strictFlag(),
		}, rangeFlags(), streamFlags()),
		Run: runPace,
	}
}

// startLead is how early the packets of --start-at come, that pcap-inject has them
// when they are to leave.
const startLead = time.Second

// paceConfig is what the flags of pcap-pace say.
type paceConfig struct {
	bend     schedule.Bend
	fit      time.Duration // 0 without
	span     int64         // for fit; 0 where the inputs are to tell
	from, to int64         // to is exclusive
	loop     int64
	startAt  *int64 // Unix nanoseconds
	lead     time.Duration
	exact    bool
	asap     bool
	keep     bool
	writer   stream.WriterOptions
}

func (j *job) paceConfig() (c paceConfig, err error) {
	conflicts := [][]string{
		{"speed", "fit", "pps", "bps"}, {"max-gap", "fit"}, {"max-gap", "pps"}, {"max-gap", "bps"},
		{"span", "select"}, {"asap", "exact"}, {"asap", "lead"}, {"start-at", "keep-timestamps"},
	}
	if err := j.checkConflicts(conflicts); err != nil {
		return c, err
	}
	for _, name := range []string{"span", "select"} {
		if j.flags.IsSet(name) && !j.flags.IsSet("fit") {
			return c, usageErrorf("--%s goes with --fit", name)
		}
	}
	if c.bend, err = j.bend(); err != nil {
		return c, err
	}
	if c.from, c.to, err = j.timeRange(); err != nil {
		return c, err
	}
	if c.loop = j.flags.Int64("loop"); c.loop < 0 {
		return c, usageErrorf("--loop %d: wanted 0 or more", c.loop)
	}
	c.exact, c.asap, c.keep = j.flags.Bool("exact"), j.flags.Bool("asap"), j.flags.Bool("keep-timestamps")
	if err := j.startConfig(&c); err != nil {
		return c, err
	}
	if c.writer, err = j.writerOptions(); err != nil {
		return c, err
	}
	return c, j.fitConfig(&c)
}

// checkConflicts refuses flags of which only one may be given.
func (j *job) checkConflicts(groups [][]string) error {
	for _, group := range groups {
		given := slices.DeleteFunc(slices.Clone(group), func(name string) bool { return !j.flags.IsSet(name) })
		if len(given) > 1 {
			return usageErrorf("--%s and --%s: wanted one of them", given[0], given[1])
		}
	}
	return nil
}

// positiveDuration reads a duration over 0; it is 0 without the flag.
func (j *job) positiveDuration(flag string) (time.Duration, error) {
	text := j.flags.String(flag)
	if !j.flags.IsSet(flag) {
		return 0, nil
	}
	d, err := parseDuration(flag, text)
	if err == nil && d <= 0 {
		err = usageErrorf("--%s %q: wanted more than 0", flag, text)
	}
	return d, err
}

func (j *job) bend() (b schedule.Bend, err error) {
	if j.flags.IsSet("speed") {
		text := j.flags.String("speed")
		if b.Speed, err = schedule.ParseSpeed(text); err != nil {
			return b, usageErrorf("--speed %q: %w", text, err)
		}
	}
	if b.Packets, err = j.rate("pps"); err != nil {
		return b, err
	}
	if b.Bits, err = j.rate("bps"); err != nil {
		return b, err
	}
	b.MaxGap, err = j.positiveDuration("max-gap")
	return b, err
}

// rate reads --pps or --bps; it is 0 without the flag.
func (j *job) rate(flag string) (schedule.Rate, error) {
	if !j.flags.IsSet(flag) {
		return 0, nil
	}
	text := j.flags.String(flag)
	perSecond, err := parseRate(flag, text)
	if err != nil {
		return 0, err
	}
	rate, err := schedule.NewRate(perSecond)
	if err != nil {
		return 0, usageErrorf("--%s %q: %w", flag, text, err)
	}
	return rate, nil
}

// startConfig reads --start-at and --lead.
func (j *job) startConfig(c *paceConfig) (err error) {
	if text := j.flags.String("start-at"); text != "" {
		moment, err := parseTime("start-at", text)
		if err != nil {
			return err
		}
		if late := time.Since(time.Unix(0, moment)); late > 0 && !c.asap {
			return usageErrorf("--start-at %q is %v ago", text, late.Round(time.Millisecond)).
				withHint("wanted a moment ahead, such as \"$(date -d '+5 seconds' +%s)\"")
		}
		c.startAt, c.lead = &moment, startLead
	}
	if text := j.flags.String("lead"); text != "" {
		if c.lead, err = parseDuration("lead", text); err != nil {
			return err
		}
		if c.lead < 0 {
			return usageErrorf("--lead %q: wanted 0 or more", text)
		}
	}
	return nil
}

// fitConfig reads --fit and where its length comes from.
func (j *job) fitConfig(c *paceConfig) (err error) {
	if c.fit, err = j.positiveDuration("fit"); err != nil {
		return err
	}
	span, err := j.positiveDuration("span")
	if err != nil {
		return err
	}
	c.span = int64(span)
	name := j.flags.String("select")
	if name == "" {
		return nil
	}
	if name == "-" && (len(j.operands()) == 0 || slices.Contains(j.operands(), "-")) {
		return usageErrorf("stdin cannot be both an input and the records of --select")
	}
	selection, err := j.readSelection(name)
	if err != nil {
		return err
	}
	earliest, latest := int64(math.MaxInt64), int64(math.MinInt64)
	for _, s := range selection {
		if o := s.compareFileSize(); o != nil {
			j.sayOutdated(input{path: s.Path}, o)
		}
		if s.Earliest != nil && s.Latest != nil {
			earliest, latest = min(earliest, *s.Earliest), max(latest, *s.Latest)
		}
	}
	if earliest > latest {
		return usageErrorf("--select %s: no record has earliest and latest", displayName(name, "")).
			withHint("wanted the records of pcap-map")
	}
	c.span = min(latest, c.to-1) - max(earliest, c.from)
	if c.span <= 0 {
		return usageErrorf("--select %s: its captures are %v long", displayName(name, ""), time.Duration(max(c.span, 0)))
	}
	return nil
}

// pacer is one run of pcap-pace.
type pacer struct {
	*playback
	paceConfig
	axis       *schedule.Axis
	departures []int64
	clock      schedule.Clock
	wait       func(moment int64) error
	begun      bool
	origin     int64 // moment of departure 0
	base       int64 // timestamp of departure 0

	in, outOfRange, latest, outOfOrder, disorder atomic.Int64
	written                                      traffic
}

func runPace(j *job) error {
	config, err := j.paceConfig()
	if err != nil {
		return err
	}
	p := &pacer{paceConfig: config, clock: schedule.System, departures: make([]int64, batchPackets)}
	if p.playback, err = j.newPlayback(); err != nil {
		return err
	}
	if p.loop != 1 {
		if err := p.checkRewinds("--loop"); err != nil {
			return err
		}
	}
	if p.fit > 0 && p.span == 0 {
		if err := p.checkRewinds("--fit"); err != nil {
			var usage *usageError
			if errors.As(err, &usage) {
				usage.hint = "say how long it is with --span, or with --select and the records of pcap-map"
			}
			return err
		}
	}
	output, err := j.openOutput(true)
	if err != nil {
		return err
	}
	j.setCounters(p.counters)
	err = j.untilStopped(func() error { return p.run(output) })
	p.summarize(err)
	return err
}

func (p *pacer) run(output *output) error {
	if p.exact {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	p.wait = p.waiter()
	if p.fit > 0 && p.span == 0 {
		p.progress.start(p.size(), func() string { return p.tool.Name + ": measuring" })
		if err := p.measure(); err != nil {
			return err
		}
	}
	if p.fit > 0 {
		p.bend.Speed = schedule.Fit(p.span, p.fit)
	}
	p.axis = p.newAxis(p.bend)
	p.progress.start(timesSize(p.size(), p.loop), nil)
	p.progress.holds(func() (n, of int64) { return p.written.packets.Load() + p.outOfRange.Load(), p.in.Load() })
	p.writer.Written = p.written.add
	writer := stream.NewWriter(output, p.writer)
	if err := p.play(writer); err != nil {
		if writer.HasPackets() {
			_ = writer.Close() // what is counted as out goes out
		}
		return err
	}
	if err := writer.Close(); err != nil {
		return p.outputFailed(err)
	}
	return output.commit()
}

// newAxis begins at --from with --start-at: of shares of one set, each on a machine
// of its own, only one has the first packet of the set.
func (p *pacer) newAxis(bend schedule.Bend) *schedule.Axis {
	axis := schedule.NewAxis(bend)
	if p.startAt != nil && p.flags.IsSet("from") {
		axis.StartAt(p.from)
	}
	return axis
}

// waiter gives the way to wait.
func (p *pacer) waiter() func(moment int64) error {
	if p.exact {
		schedule.SharpenTimers()
		exact := schedule.NewWaiter(p.clock, func() bool { return p.ctx.Err() != nil })
		return func(moment int64) error {
			if _, ok := exact.Until(moment); !ok {
				return context.Cause(p.ctx)
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
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// measure reads the inputs for how long one round of them is.
func (p *pacer) measure() error {
	axis := p.newAxis(schedule.Bend{})
	batch := make([]stream.Packet, batchPackets)
	for {
		n, begins, err := p.read(batch)
		if err == io.EOF {
			err = p.rewind()
			p.before = 0
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
				p.span = axis.Departure(&batch[i])
			}
		}
	}
}

// play gives the inputs out as often as --loop says.
func (p *pacer) play(writer *stream.Writer) error {
	for round := int64(0); p.loop == 0 || round < p.loop; round++ {
		if round > 0 {
			if err := p.rewind(); err != nil {
				return err
			}
		}
		before := p.in.Load() - p.outOfRange.Load()
		if err := p.playOnce(writer); err != nil {
			return err
		}
		if p.in.Load()-p.outOfRange.Load() == before {
			return nil // nor will the next round have any
		}
	}
	return nil
}

func (p *pacer) playOnce(writer *stream.Writer) error {
	batch := make([]stream.Packet, batchPackets)
	for {
		n, begins, err := p.read(batch)
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
		kept := chosen(batch[:n], &p.outOfRange, p.isInRange)
		if err := p.release(writer, kept); err != nil {
			return err
		}
		if !p.buffered() {
			if err := writer.Flush(); err != nil {
				return p.outputFailed(err)
			}
		}
	}
}

// isInRange takes a packet at the end of all time, unless --to says otherwise.
func (p *pacer) isInRange(packet *stream.Packet) bool {
	return packet.Time >= p.from && (packet.Time < p.to || p.to == math.MaxInt64)
}

// releaseWindow is how much earlier than its departure a packet may go out, to go
// with one that is due.
const releaseWindow = int64(time.Millisecond)

// release gives packets out as they become due, with one write for all that are.
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
		if !p.asap {
			if err := p.waitFor(writer, p.departures[first]); err != nil {
				return err
			}
			count = p.countDue(p.departures[first:len(packets)])
		}
		due := packets[first : first+count]
		if err := writer.Write(due); err != nil {
			var linkTypes *stream.LinkTypeError
			if errors.As(err, &linkTypes) {
				err = namedError(p.current.path, err)
			}
			return p.outputFailed(err)
		}
		first += count
	}
	return nil
}

// begin ties the axis to the clock, and to the timestamps that are written. A
// first timestamp that the output cannot hold is replaced: only differences matter.
func (p *pacer) begin(first int64) {
	p.begun = true
	p.origin = p.clock.Now()
	p.base = first
	switch {
	case p.startAt != nil:
		p.base, p.origin = *p.startAt, schedule.Moment(*p.startAt)
	case !p.keep && (!p.writer.Holds(first) || first == math.MaxInt64): // the last of all times stands for those behind it
		p.base = 0
		p.warnf("the first packet is of %s, which cannot be written: its timestamp becomes that of 1970", time.Unix(0, first).UTC().Format(time.RFC3339))
	}
}

// stamp finds the departures of packets and writes them into their timestamps.
func (p *pacer) stamp(packets []stream.Packet) {
	for i := range packets {
		departure := p.axis.Departure(&packets[i])
		p.departures[i] = departure
		if !p.keep {
			packets[i].Time = later(p.base, departure)
		}
	}
	outOfOrder, disorder := p.axis.OutOfOrder()
	p.outOfOrder.Store(outOfOrder)
	p.disorder.Store(disorder)
}

// later adds nanoseconds to a time, up to the last one that there is.
func later(time, nanoseconds int64) int64 {
	if time > 0 && nanoseconds > math.MaxInt64-time {
		return math.MaxInt64
	}
	return time + nanoseconds
}

// due is the moment at which to give out what departs then.
func (p *pacer) due(departure int64) int64 { return later(p.origin, departure) - int64(p.lead) }

// waitFor waits for a departure, after handing on what went before.
func (p *pacer) waitFor(writer *stream.Writer, departure int64) error {
	due, now := p.due(departure), p.clock.Now()
	if due <= now {
		p.latest.Store(max(p.latest.Load(), now-due))
		return p.ctx.Err()
	}
	if err := writer.Flush(); err != nil {
		return p.outputFailed(err)
	}
	return p.wait(due)
}

// countDue is how many departures are due now, the first one being so.
func (p *pacer) countDue(departures []int64) int {
	now := p.clock.Now()
	if !p.exact {
		now += releaseWindow
	}
	for i := 1; i < len(departures); i++ {
		if p.due(departures[i]) > now {
			return i
		}
	}
	return len(departures)
}

// counters is the line for SIGUSR1 and for the end.
func (p *pacer) counters() string {
	return fmt.Sprintf("%d packets in, %d out (%d bytes)", p.in.Load(), p.written.packets.Load(), p.written.bytes.Load())
}

// paceSummary ends the report: packets_in is packets_out and all that is named
// between them.
type paceSummary struct {
	record.Summary
	PacketsIn   int64   `json:"packets_in"`
	OutOfRange  int64   `json:"out_of_range"` // --from and --to
	Interrupted int64   `json:"interrupted"`  // read, but the run was ended
	PacketsOut  int64   `json:"packets_out"`
	Bytes       int64   `json:"bytes"`        // captured, of packets_out
	OutOfOrder  int64   `json:"out_of_order"` // that went out at once
	MaxDisorder float64 `json:"max_disorder"` // seconds
	MaxLateness float64 `json:"max_lateness"` // seconds by which a packet came out too late
}

func (p *pacer) summarize(err error) {
	in, outOfRange, out := p.in.Load(), p.outOfRange.Load(), p.written.packets.Load()
	p.report.event(paceSummary{
		Summary: p.summary(p.exitSoFar(err)), PacketsIn: in, OutOfRange: outOfRange, Interrupted: in - outOfRange - out,
		PacketsOut: out, Bytes: p.written.bytes.Load(), OutOfOrder: p.outOfOrder.Load(),
		MaxDisorder: seconds(p.disorder.Load()), MaxLateness: seconds(p.latest.Load()),
	})
	line := fmt.Sprintf("%s in %v", p.counters(), time.Since(p.started).Round(time.Millisecond))
	if p.ctx.Err() != nil && !p.quiet {
		p.say(line)
	} else {
		p.infof("%s", line)
	}
}

// seconds is how records have durations.
func seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }

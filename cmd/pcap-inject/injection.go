package main

import (
	"context"
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/input"
	"pcap-replay/internal/privilege"
	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// injection is one run of pcap-inject.
type injection struct {
	run           *tool.Run
	config        config
	sink          sink
	feeder        *feeder
	epoch         *schedule.Epoch
	transmissions []*schedule.Transmission
	verifiers     []*verifier    // of the transmissions, with --verify
	pauses        []atomic.Int64 // moments until which the transmissions pause
	stalled       atomic.Bool    // a stall was told of
	paused        atomic.Bool    // a long pause was told of
}

// sink is where packets go: an interface or a file.
type sink interface {
	// isWire says whether it is an interface.
	isWire() bool
	// senders are what each sending thread uses.
	senders() []schedule.Sender
	// stamps are the transmit timestamps of the senders, with --verify.
	stamps() []*wire.Stamps
	// fitter makes frames that can be sent. longest is the longest one that fits into a
	// ring.
	fitter(c *config, longest int) *frame.Fitter
	// refusesFrame says whether an error is about a single frame, and the run goes on.
	refusesFrame(err error) bool
	// describe adds what only the sink knows.
	describe(s *record.InjectSummary)
	// drain returns when what was sent has left this machine's queues.
	drain() error
	// queueDropped is how many frames these queues have dropped.
	queueDropped() int64
	close() error
}

func newInjection(run *tool.Run, config config) *injection {
	return &injection{run: run, config: config, epoch: &schedule.Epoch{Fixed: config.at}}
}

// open does what needs privileges or may be a mistake, before anything is read.
func (in *injection) open() (err error) {
	if in.sink, err = in.openSink(); err != nil {
		return err
	}
	playback, err := input.NewPlayback(in.run.Context, in.run.Flags.Operands(), input.NewOpener(in.run), input.NewProblems(in.run), in.run.Progress)
	if err != nil {
		return err
	}
	if err := playback.OpenAhead(); err != nil {
		return err
	}
	in.prepare(playback)
	return nil
}

func (in *injection) openSink() (sink, error) {
	if in.config.file != "" {
		return openFileSink(in.run, in.config.file)
	}
	return openWireSink(&in.config, in.run.Messages)
}

// The rings hold what --delay keeps back, within a bound; one that is sent from at
// once stays in the processor's cache.
const (
	ringPackets, ringBytes         = 1 << 17, 32 << 20
	asapRingPackets, asapRingBytes = 1 << 12, 8 << 20
)

// prepare puts the parts together.
func (in *injection) prepare(playback *input.Playback) {
	c := &in.config
	in.feeder = &feeder{
		playback: playback, messages: in.run.Messages, report: in.run.Report, filter: c.filter, policies: c.policies,
		axis: schedule.NewAxis(schedule.TimeScale{MaxGap: c.maxGap}), clock: schedule.System, epoch: in.epoch,
		delay: c.delay, at: c.at, asap: c.asap, limit: c.limit, end: int64(c.duration),
	}
	senders := in.sink.senders()
	packets, size := ringPackets, ringBytes
	if in.config.asap {
		packets, size = asapRingPackets, asapRingBytes
	}
	for _, sender := range senders {
		ring := schedule.NewRing(packets, max(size/len(senders), 4*stream.MaxCaptureLength))
		in.feeder.rings = append(in.feeder.rings, ring)
		in.transmissions = append(in.transmissions, &schedule.Transmission{
			Ring: ring, Sender: sender, Clock: schedule.System, Epoch: in.epoch,
			Delay: in.config.delay, Immediately: in.config.asap, End: int64(in.config.duration), Lateness: schedule.NewLateness(),
		})
	}
	for i, stamps := range in.sink.stamps() {
		v := newVerifier(stamps)
		in.verifiers = append(in.verifiers, v)
		in.transmissions[i].Deadlines = v.deadlines
	}
	in.feeder.fitter = in.sink.fitter(c, in.feeder.rings[0].MaxPacket())
}

// runtimeMemory is how much the Go runtime takes before it collects garbage while
// packets are sent. Nothing on the way of a packet makes any.
const runtimeMemory = 160 << 20

// otherThreads run besides the sending ones: the reader, its decompression, and one for
// signals, progress and the report.
const otherThreads = 3

// tuneRuntime keeps the Go runtime from getting in the way of the sending threads
// of this process: there is always a processor for one that wakes up.
func (in *injection) tuneRuntime() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(runtimeMemory)
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), len(in.transmissions)+otherThreads))
}

// stopGrace is how long the reader may take to end once nothing is sent any more. It may
// wait for a silent stream.
const stopGrace = 200 * time.Millisecond

// send sends until the stream ends, or the run is ended.
func (in *injection) send() error {
	sent := in.startThreads()
	for _, v := range in.verifiers {
		go v.run()
	}
	fed := make(chan error, 1)
	go func() { fed <- in.feeder.run() }()
	in.run.Progress.Settled(in.settled)
	in.run.Progress.Start(in.feeder.playback.Size(), in.line)
	if in.run.Flags.IsSet("report") {
		ended := make(chan struct{})
		defer close(ended)
		go in.reportProgress(ended)
	}

	err := in.await(sent)
	in.abandon()
	select {
	case feedErr := <-fed:
		in.feeder.reportSkipped() // what the sending threads skipped
		if err == nil {
			err = feedErr
		}
	case <-time.After(stopGrace): // it waits for a silent stream
	}
	if errors.Is(err, context.Canceled) {
		return nil // a signal is an ordinary end
	}
	return err
}

// await waits for the sending threads. The first error, and a signal, ends them all.
func (in *injection) await(sent <-chan error) (first error) {
	stop := in.run.Context.Done()
	for running := len(in.transmissions); running > 0; {
		select {
		case err := <-sent:
			running--
			if err != nil && first == nil {
				first = err
				in.abandon()
			}
		case <-stop:
			stop = nil
			in.abandon()
		}
	}
	return first
}

func (in *injection) abandon() {
	for _, t := range in.transmissions {
		t.Ring.Abandon()
	}
}

// startThreads starts the sending threads, and gives up all privileges once they
// have used theirs. Each says in ended how it ended.
func (in *injection) startThreads() (ended <-chan error) {
	in.prepareProcess()
	ready, sent := make(chan struct{}), make(chan error, len(in.transmissions))
	in.pauses = make([]atomic.Int64, len(in.transmissions))
	for i, t := range in.transmissions {
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			in.prepareThread(t)
			ready <- struct{}{}
			sent <- in.transmit(t, &in.pauses[i])
		}()
	}
	for range in.transmissions {
		<-ready
	}
	drop := privilege.KeepFileAccess // a file gets its name at the end
	if in.sink.isWire() {
		drop = privilege.Drop
	}
	if err := drop(); err != nil && (in.sink.isWire() || !errors.Is(err, errors.ErrUnsupported)) {
		in.run.Messages.Warnf("cannot drop privileges: %v", err)
	}
	return sent
}

// prepareProcess does what exact sending wants as far as it is permitted. Only
// --realtime has asked for it, and is told what is not.
func (in *injection) prepareProcess() {
	var errs []error
	if !in.config.asap && in.sink.isWire() {
		release, err := schedule.KeepCoresAwake()
		in.run.OnEnd(release)
		errs = append(errs, err)
	}
	if in.config.realtime {
		errs = append(errs, schedule.PrepareRealtime())
		for _, err := range errs {
			if err != nil {
				in.run.Messages.Warnf("--realtime: %v", err)
			}
		}
	}
}

func (in *injection) prepareThread(t *schedule.Transmission) {
	schedule.SharpenTimers()
	if !in.config.realtime {
		return
	}
	var err error
	if t.Thread, err = schedule.EnterRealtime(); err != nil {
		in.run.Messages.Warnf("--realtime: %v", err)
	}
}

// transmit sends what comes into the ring of a transmission. It reports underruns and long
// pauses, and counts and leaves out the frames that the sink refuses.
func (in *injection) transmit(t *schedule.Transmission, pause *atomic.Int64) error {
	defer t.Lateness.Settle()
	for {
		err := t.Run()
		var underrun *schedule.Underrun
		var refusal *schedule.Refusal
		var longPause *schedule.LongPause
		switch {
		case errors.As(err, &longPause):
			pause.Store(longPause.Until)
			in.tellPause(longPause)
		case errors.As(err, &underrun):
			in.reportUnderrun(underrun)
		case errors.As(err, &refusal) && in.sink.refusesFrame(refusal.Err):
			if refusal.Last && in.feeder.skip(frame.SkippedOversize) {
				in.feeder.tellSkipped(refusal.Time, refusal.Error())
			}
		default:
			return err
		}
	}
}

// reportUnderrun reports an underrun, and tells of the first stall.
func (in *injection) reportUnderrun(u *schedule.Underrun) {
	if u.Stalled && in.stalled.CompareAndSwap(false, true) {
		then := "the rest leaves that much later"
		if in.config.at {
			then = "what should have left meanwhile leaves at once"
		}
		in.run.Messages.Warnf("nothing was sent for %v, because the process, the machine or the output stood still: %s",
			time.Duration(u.Missing).Round(time.Millisecond), then)
	}
	in.run.Report.Event(record.Underrun{
		Event: "underrun", Tool: in.run.Name(), Time: record.Time(time.Now().UnixNano()),
		Departure: record.Seconds(u.Departure), Missing: record.Seconds(u.Missing), Stalled: u.Stalled,
	})
}

// tellPause says once that nothing will be sent for a while.
func (in *injection) tellPause(p *schedule.LongPause) {
	text := in.pauseText(schedule.System.Now())
	if text == "" || in.run.Messages.Quiet() || in.paused.Swap(true) {
		return
	}
	if p.Departure > 0 && !in.config.at {
		text += " (--max-gap 1s shortens pauses)"
	}
	in.run.Messages.Say(text)
}

// pauseText says when the next packet leaves, if that takes long.
func (in *injection) pauseText(now int64) string {
	next, waits := int64(math.MaxInt64), false
	for i, t := range in.transmissions {
		if t.Ring.Len() > 0 {
			next, waits = min(next, in.pauses[i].Load()), true
		}
	}
	if !waits || next <= now {
		return ""
	}
	return "next packet in " + tool.DurationText(time.Duration(next-now))
}

// close ends the sink after a run that ended with err. A file that is not complete because
// of an error does not get its name.
func (in *injection) close(err error) error {
	if err == nil {
		if err := in.sink.drain(); err != nil {
			in.run.Messages.Warnf("%v", err)
		}
	}
	if dropped := in.sink.queueDropped(); dropped > 0 {
		in.run.Messages.Errorf("the queueing discipline of %s dropped %s", in.config.interfaceName, tool.Plural(dropped, "frame"))
	}
	for _, v := range in.verifiers {
		if err := v.finish(); err != nil {
			in.run.Messages.Warnf("--verify: %v", err)
		}
	}
	if err != nil {
		return nil
	}
	return in.sink.close()
}

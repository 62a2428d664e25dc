package main

import (
	"context"
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
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
	verifiers     []*verifier // of the transmissions, with --verify
	load          *schedule.Load
	pauses        []atomic.Int64 // when the pauses of the transmissions end
	stalled       atomic.Bool    // a stall was reported
	paused        atomic.Bool    // a long pause was reported
}

// sink is where packets go: interfaces, a file or a tunnel.
type sink interface {
	// isWire reports whether it is a network.
	isWire() bool
	// senders are the senders of the threads.
	senders() []schedule.Sender
	// stamps are the transmit timestamps of each sender, by interface, with --verify.
	stamps() [][]wire.Stamps
	// egresses are the interfaces, or the file, as the feeder sees them. longest is the length
	// of the longest frame that fits into a ring.
	egresses(c *config, longest int) []*egress
	// refusesFrame reports whether an error affects only one frame, so that the run
	// continues.
	refusesFrame(err error) bool
	// describe adds the fields that only the sink knows.
	describe(s *record.InjectSummary)
	// drain returns when all frames have left the queues of this machine.
	drain() error
	// reportDrops reports the frames that were lost in these queues or on the way, as far as
	// the kernel knows.
	reportDrops(messages *tool.Messages)
	close() error
}

func newInjection(run *tool.Run, config config) *injection {
	return &injection{run: run, config: config, epoch: &schedule.Epoch{Fixed: config.at}}
}

// open does everything that needs privileges or may fail because of a usage error, before
// any input is read.
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
	if in.config.to != nil {
		return openTunnelSink(in.run.Context, &in.config, in.run.Messages)
	}
	return openWireSink(&in.config, in.run.Messages)
}

// The rings hold the packets of --delay, up to a limit. With the default of 200 ms, that is
// 655,000 packets or 1.3 Gbit a second. A ring without a delay holds eight batches of the
// reader (see input.BatchPackets), with 2 KiB for each packet, and stays in the CPU cache.
const (
	ringPackets, ringBytes         = 1 << 17, 32 << 20
	asapRingPackets, asapRingBytes = 1 << 12, 8 << 20
)

// prepare connects the parts.
func (in *injection) prepare(playback *input.Playback) {
	c := &in.config
	in.feeder = &feeder{
		playback: playback, messages: in.run.Messages, report: in.run.Report, flags: in.run.Flags, decap: c.decap, filter: c.filter, split: c.split, rewriter: c.rewriter, policies: c.policies,
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
			Delay: in.config.delay, Immediately: in.config.asap, End: int64(in.config.duration), Spin: in.config.spin, Lateness: schedule.NewLateness(),
		})
	}
	for i, ofSender := range in.sink.stamps() {
		for _, stamps := range ofSender {
			v := newVerifier(stamps)
			in.verifiers = append(in.verifiers, v)
			in.transmissions[i].Deadlines = append(in.transmissions[i].Deadlines, v.deadlines)
		}
	}
	in.feeder.egresses = in.sink.egresses(c, in.feeder.rings[0].MaxPacket())
}

// runtimeMemory is the heap size up to which the Go runtime does not collect garbage while
// packets are sent. Sending a packet allocates nothing. One ring takes 40 MiB of it: 32 for
// the data and 8 for what is known of each packet. The rest is for reading and decompression.
const runtimeMemory = 160 << 20

// otherThreads is the number of threads besides the sending ones: the reader, its
// decompressor, and one for signals, progress and the report.
const otherThreads = 3

// tuneRuntime keeps the Go runtime from delaying the sending threads: a thread that wakes
// up always finds a free processor of the runtime.
func (in *injection) tuneRuntime() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(runtimeMemory)
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), len(in.transmissions)+otherThreads))
}

// stopGrace is how long the reader may take to end after sending has stopped. It may be
// waiting for a silent stream. The grace of package tool does not serve here: --limit and
// --duration end a run without a signal, and the drops of the interfaces are counted before
// the run ends. A user who presses ^C hardly notices this time.
const stopGrace = 200 * time.Millisecond

// send sends until the stream ends or the run is stopped.
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
		in.feeder.reportSkipped() // packets that the sending threads skipped
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

// await waits for the sending threads. The first error, or a signal, ends all of them.
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

// startThreads starts the sending threads, and drops all privileges when the threads have
// used theirs. Each thread sends its result to ended.
func (in *injection) startThreads() (ended <-chan error) {
	in.prepareProcess()
	ready, sent := make(chan struct{}), make(chan error, len(in.transmissions))
	in.pauses = make([]atomic.Int64, len(in.transmissions))
	for i, t := range in.transmissions {
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			in.prepareThread(i, t)
			ready <- struct{}{}
			sent <- in.transmit(t, &in.pauses[i])
		}()
	}
	for range in.transmissions {
		<-ready
	}
	if in.run.OwnsProcess() {
		in.dropPrivileges()
	}
	return sent
}

// dropPrivileges gives up what the run no longer needs, before any input is parsed.
func (in *injection) dropPrivileges() {
	drop := privilege.KeepFileAccess // a file gets its name at the end
	if in.sink.isWire() {
		drop = privilege.Drop
	}
	if err := drop(); err != nil && (in.sink.isWire() || !errors.Is(err, errors.ErrUnsupported)) {
		in.run.Messages.Warnf("cannot drop privileges: %v", err)
	}
}

// prepareProcess applies the settings for exact timing that are permitted. It warns of
// those that are not permitted only with --realtime.
func (in *injection) prepareProcess() {
	var errs []error
	if !in.config.asap && in.sink.isWire() {
		release, err := schedule.KeepCoresAwake()
		in.run.OnEnd(release)
		errs = append(errs, err)
	}
	if cores := runtime.NumCPU(); in.config.spin && in.config.workers >= cores {
		in.run.Messages.Warnf("--spin takes %s of %d, and the other threads need one more: packets will be late", plural.Of(in.config.workers, "core"), cores)
	}
	if !in.config.realtime {
		return
	}
	errs = append(errs, schedule.LockMemory())
	for _, err := range errs {
		if err != nil {
			in.run.Messages.Warnf("--realtime: %v", err)
		}
	}
	if in.isRealtime() {
		in.load = schedule.WatchLoad()
		in.run.OnEnd(in.load.Stop)
	}
}

// isRealtime reports whether the threads get a real-time class. The kernel stops a
// real-time thread that never sleeps, so those of --asap and --spin get none.
func (in *injection) isRealtime() bool {
	return in.config.realtime && !in.config.asap && !in.config.spin
}

// prepareThread prepares the calling thread for sending.
func (in *injection) prepareThread(number int, t *schedule.Transmission) {
	schedule.PreferThread()
	if in.config.spin {
		if err := schedule.RunOnIsolatedCore(number); err != nil {
			in.run.Messages.Warnf("--spin: %v", err)
		}
	}
	if !in.isRealtime() {
		return
	}
	var err error
	if t.Thread, err = schedule.EnterRealtime(in.load); err != nil {
		in.run.Messages.Warnf("--realtime: %v", err)
	}
}

// transmit sends the packets of a ring. It reports underruns and long pauses. It counts the
// frames that the sink refuses, and leaves them out.
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
			packet := &stream.Packet{Time: refusal.Time, Direction: refusal.Direction}
			if refusal.Last && in.feeder.skip(packet, frame.SkippedOversize) {
				in.feeder.tellSkipped(packet, refusal.Error())
			}
		default:
			return err
		}
	}
}

// reportUnderrun writes an event for an underrun, and prints a warning for the first stall.
func (in *injection) reportUnderrun(u *schedule.Underrun) {
	if u.Stalled && in.stalled.CompareAndSwap(false, true) {
		then := "the rest leaves that much later"
		if in.config.at {
			then = "what should have left meanwhile leaves at once"
		}
		in.run.Messages.Warnf("sent nothing for %v, because the tool, the machine or the output was stopped or too busy: %s",
			time.Duration(u.Missing).Round(time.Millisecond), then)
	}
	in.run.Report.Event(record.Underrun{
		Event: "underrun", Tool: in.run.Name(), Time: record.Time(time.Now().UnixNano()),
		Departure: record.Seconds(u.Departure), Missing: record.Seconds(u.Missing), Stalled: u.Stalled,
	})
}

// tellPause prints once that nothing will be sent for a while.
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

// pauseText returns when the next packet leaves, if that takes long.
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
	return "next packet in " + duration.Text(time.Duration(next-now).Seconds())
}

// close closes the sink after a run that ended with err. A file that is incomplete because
// of an error does not get its name.
func (in *injection) close(err error) error {
	if err == nil {
		if err := in.sink.drain(); err != nil {
			in.run.Messages.Warnf("%v", err)
		}
	}
	for _, v := range in.verifiers {
		if err := v.finish(); err != nil {
			in.run.Messages.Warnf("--verify: %v", err)
		}
	}
	in.sink.reportDrops(in.run.Messages)
	if err != nil {
		return nil
	}
	return in.sink.close()
}

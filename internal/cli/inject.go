package cli

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/record"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/wire"
	"pcap-replay/stream"
)

// Inject is pcap-inject.
func Inject() *Tool {
	return &Tool{
		Name:     "pcap-inject",
		Usage:    "send each packet of a stream at its moment",
		Operands: "-i INTERFACE | -w FILE [FILE | FOLDER ...]",
		Text: "Reads captures, one after another, or stdin, and sends their packets. The first one leaves\n" +
			"--delay after it came; the others follow with the gaps of their timestamps. A late packet\n" +
			"does not move the next one.\n\n" +
			"When a packet comes only after its moment, the buffer was empty: that is an underrun. All\n" +
			"that follows then leaves with a fresh delay, rather than in a burst; with --at, where\n" +
			"moments are fixed, at once.\n\n" +
			"A frame is short when the capture holds less of it than there was on the wire, and\n" +
			"oversize when it is longer than the interface takes. Each that cannot be sent is counted;\n" +
			"unless --oversize or --short asks for that, the exit code is 3.",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "interface", Aliases: []string{"i"}, Usage: "send on `INTERFACE`"},
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write to `FILE` instead (-: stdout), stamped with the moment of sending"},
			&cli.StringFlag{Name: "delay", Value: "200ms", Usage: "buffer `DURATION` of the stream"},
			&cli.BoolFlag{Name: "at", Usage: "timestamps are moments of the wall clock, as pcap-pace --start-at makes them"},
			&cli.BoolFlag{Name: "asap", Usage: "send as fast as it goes"},
			&cli.StringFlag{Name: "oversize", Value: oversizePolicies[0], Usage: "what to do with oversize frames: error (leave out, exit 3), skip, truncate, or segment (as a card does with TCP)"},
			&cli.StringFlag{Name: "short", Value: shortPolicies[0], Usage: "what to do with short frames: pad (with zeros), asis or skip"},
			&cli.StringFlag{Name: "link", Value: linkPolicies[0], Usage: "what to do with frames of RAW, NULL, LOOP, LINUX_SLL or LINUX_SLL2: refuse, or make ethernet ones of them"},
			&cli.StringFlag{Name: "tx", Value: txPolicies[0], Usage: "send by packet or xdp sockets; auto takes xdp with --asap, if it works"},
			&cli.IntFlag{Name: "workers", Value: 1, Usage: "send with `N` threads, each flow by one: order is kept within a flow only"},
			&cli.BoolFlag{Name: "realtime", Usage: "have the scheduler prefer the sending thread to all others"},
			&cli.BoolFlag{Name: "verify", Usage: "also tell lateness by the kernel's transmit timestamps"},
			&cli.Int64Flag{Name: "limit", Usage: "end after `N` packets", DefaultText: "with the input"},
			&cli.StringFlag{Name: "duration", Usage: "end `DURATION` after the first packet has left"},
			&cli.StringFlag{Name: "fail-late", Usage: "exit with 4 when more than 1 % of the packets are over `DURATION` late"},
			strictFlag(),
		}, filterFlags()),
		Run: runInject,
	}
}

// maxWorkers bounds the memory of the rings.
const maxWorkers = 64

// injectConfig is what the flags of pcap-inject say.
type injectConfig struct {
	interfaceName string
	file          string
	delay         time.Duration
	at, asap      bool
	oversize      string
	short         string
	link          string
	tx            string
	workers       int
	realtime      bool
	verify        bool
	limit         int64
	duration      time.Duration
	failLate      time.Duration
	filter        *packetFilter
}

func (j *job) injectConfig() (c injectConfig, err error) {
	conflicts := [][]string{
		{"interface", "write"}, {"delay", "at"}, {"delay", "asap"}, {"at", "asap"}, {"asap", "fail-late"}, {"asap", "verify"},
		{"write", "oversize"}, {"write", "short"}, {"write", "link"}, {"write", "tx"}, {"write", "workers"}, {"write", "verify"},
	}
	if err := j.checkConflicts(conflicts); err != nil {
		return c, err
	}
	c.interfaceName, c.file = j.flags.String("interface"), j.flags.String("write")
	if c.interfaceName == "" && c.file == "" {
		return c, usageErrorf("wanted -i INTERFACE or -w FILE")
	}
	if c.delay, err = parseDuration("delay", j.flags.String("delay")); err != nil {
		return c, err
	}
	if c.delay < 0 {
		return c, usageErrorf("--delay %q: wanted 0 or more", j.flags.String("delay"))
	}
	c.at, c.asap, c.realtime = j.flags.Bool("at"), j.flags.Bool("asap"), j.flags.Bool("realtime")
	for _, word := range []struct {
		value *string
		flag  string
		words []string
	}{{&c.oversize, "oversize", oversizePolicies}, {&c.short, "short", shortPolicies}, {&c.link, "link", linkPolicies}, {&c.tx, "tx", txPolicies}} {
		if *word.value, err = j.oneOf(word.flag, word.words); err != nil {
			return c, err
		}
	}
	if c.workers = j.flags.Int("workers"); c.workers < 1 || c.workers > maxWorkers {
		return c, usageErrorf("--workers %d: wanted from 1 to %d", c.workers, maxWorkers)
	}
	if c.verify = j.flags.Bool("verify"); c.verify && c.tx == "xdp" {
		return c, usageErrorf("--verify and --tx xdp: only packet sockets tell transmit timestamps")
	}
	if c.limit = j.flags.Int64("limit"); c.limit < 0 || c.limit == 0 && j.flags.IsSet("limit") {
		return c, usageErrorf("--limit %d: wanted 1 or more", c.limit)
	}
	if c.duration, err = j.positiveDuration("duration"); err != nil {
		return c, err
	}
	if c.failLate, err = j.positiveDuration("fail-late"); err != nil {
		return c, err
	}
	c.filter, err = j.packetFilter()
	return c, err
}

// oneOf reads a flag that is one of a few words.
func (j *job) oneOf(flag string, words []string) (string, error) {
	word := j.flags.String(flag)
	if !slices.Contains(words, word) {
		last := len(words) - 1
		return "", usageErrorf("--%s %q: wanted %s or %s", flag, word, strings.Join(words[:last], ", "), words[last])
	}
	return word, nil
}

// injection is one run of pcap-inject.
type injection struct {
	*job
	injectConfig
	way           way
	wire          *wireWay // the same, if it is an interface
	feeder        *feeder
	origin        *schedule.Epoch
	transmissions []*schedule.Transmission
	verifiers     []*verifier // of the transmissions, with --verify
	stuck         bool        // a thread did not end
}

// way is where packets go: an interface or a file.
type way interface {
	// senders are what each sending thread uses.
	senders() []schedule.Sender
	// framer says what can be sent.
	framer(c *injectConfig, longest int) *framer
	// passesOver says whether the run goes on after an error of a single frame.
	passesOver(err error) bool
	close() error
}

func runInject(j *job) error {
	config, err := j.injectConfig()
	if err != nil {
		return err
	}
	in := &injection{job: j, injectConfig: config, origin: &schedule.Epoch{Fixed: config.at}}
	if err := in.open(); err != nil {
		return err
	}
	if in.wire != nil {
		in.tuneRuntime()
	}
	err = in.run()
	if closeErr := in.close(err); err == nil {
		err = closeErr
	}
	return in.summarize(err)
}

// open does what needs privileges or may be a mistake, before anything is read.
func (in *injection) open() (err error) {
	if in.way, err = in.openWay(); err != nil {
		return err
	}
	playback, err := in.newPlayback()
	if err != nil {
		return err
	}
	if err := playback.openAhead(); err != nil {
		return err
	}
	in.prepare(playback)
	return nil
}

func (in *injection) openWay() (way, error) {
	if in.file != "" {
		return in.openFileWay(in.file)
	}
	wireWay, err := openWireWay(&in.injectConfig)
	if err != nil {
		return nil, err
	}
	in.wire = wireWay
	return wireWay, nil
}

// The rings hold what --delay keeps back, within a bound; one that is sent from at
// once stays in the processor's cache.
const (
	ringPackets, ringBytes         = 1 << 17, 32 << 20
	asapRingPackets, asapRingBytes = 1 << 12, 8 << 20
)

// prepare puts the parts together.
func (in *injection) prepare(p *playback) {
	in.feeder = &feeder{
		playback: p, filter: in.filter, axis: schedule.NewAxis(schedule.TimeScale{}), clock: schedule.System, origin: in.origin,
		delay: in.delay, at: in.at, asap: in.asap, limit: in.limit, end: int64(in.duration),
	}
	senders := in.way.senders()
	packets, size := ringPackets, ringBytes
	if in.asap {
		packets, size = asapRingPackets, asapRingBytes
	}
	for _, sender := range senders {
		ring := schedule.NewRing(packets, max(size/len(senders), 4*stream.MaxCaptureLength))
		in.feeder.rings = append(in.feeder.rings, ring)
		in.transmissions = append(in.transmissions, &schedule.Transmission{
			Ring: ring, Sender: sender, Clock: schedule.System, Epoch: in.origin,
			Delay: in.delay, Immediately: in.asap, End: int64(in.duration), Lateness: schedule.NewLateness(),
			Failed: in.frameFailed, Underran: in.underran,
		})
	}
	if in.wire != nil {
		for i, stamps := range in.wire.stamps {
			v := newVerifier(stamps)
			in.verifiers = append(in.verifiers, v)
			in.transmissions[i].Deadlines = v.dues
		}
	}
	in.feeder.framer = in.way.framer(&in.injectConfig, in.feeder.rings[0].MaxPacket())
}

// runtimeMemory is how much the Go runtime takes before it collects garbage while
// packets are sent. Nothing on the way of a packet makes any.
const runtimeMemory = 160 << 20

// tuneRuntime keeps the Go runtime from getting in the way of the sending threads
// of this process: there is always a processor for one that wakes up.
func (in *injection) tuneRuntime() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(runtimeMemory)
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), len(in.transmissions)+3))
}

// stopGrace is how long what is being done may take to end by itself.
const stopGrace = 200 * time.Millisecond

// run sends until the stream ends, or the run is ended.
func (in *injection) run() error {
	in.setCounters(in.line)
	sent := in.startThreads()
	for _, v := range in.verifiers {
		go v.run()
	}
	fed := make(chan error, 1)
	go func() { fed <- in.feeder.run() }()
	in.progress.holds(in.settled)
	in.progress.start(in.feeder.size(), in.line)
	if in.flags.IsSet("report") {
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
	if err == nil && in.ctx.Err() != nil {
		err = context.Cause(in.ctx)
	}
	return err
}

// await waits for the sending threads. The first error, and a signal, ends them
// all.
func (in *injection) await(sent <-chan error) (first error) {
	stop := in.ctx.Done()
	var grace <-chan time.Time
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
			grace = time.After(stopGrace)
		case <-grace: // a write into a full pipe
			in.stuck = true
			return context.Cause(in.ctx)
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
	for _, t := range in.transmissions {
		go func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			in.prepareThread(t)
			ready <- struct{}{}
			sent <- t.Run()
		}()
	}
	for range in.transmissions {
		<-ready
	}
	if in.wire != nil {
		if err := wire.DropCapabilities(); err != nil {
			in.warnf("the privileges of this run could not be given up: %v", err)
		}
	}
	return sent
}

// prepareProcess does what exact sending wants as far as it is permitted. Only
// --realtime has asked for it, and is told what is not.
func (in *injection) prepareProcess() {
	var errs []error
	if !in.asap && in.wire != nil {
		release, err := schedule.KeepCoresAwake()
		in.onEnd(release)
		errs = append(errs, err)
	}
	if in.realtime {
		errs = append(errs, schedule.PrepareRealtime())
		for _, err := range errs {
			if err != nil {
				in.warnf("--realtime: %v", err)
			}
		}
	}
}

func (in *injection) prepareThread(t *schedule.Transmission) {
	schedule.SharpenTimers()
	if !in.realtime {
		return
	}
	var err error
	if t.Thread, err = schedule.EnterRealtime(); err != nil {
		in.warnf("--realtime: %v", err)
	}
}

// frameFailed settles a frame that was refused when it was sent.
func (in *injection) frameFailed(frame *stream.Packet, last bool, err error) (passOver bool) {
	if !in.way.passesOver(err) {
		return false
	}
	if last {
		in.feeder.skip(frame, skippedOversize, err)
	}
	return true
}

func (in *injection) underran(u schedule.Underrun) {
	in.report.event(record.Underrun{
		Event: "underrun", Tool: in.tool.Name, Time: record.Time(time.Now().UnixNano()),
		Departure: seconds(u.Departure), Missing: seconds(u.Missing),
	})
}

// close ends the way out after a run that ended with err. A file that a thread
// still writes to, or that is not whole because of an error, does not get its name.
func (in *injection) close(err error) error {
	if in.stuck {
		return nil
	}
	for _, v := range in.verifiers {
		if err := v.finish(); err != nil {
			in.warnf("--verify: %v", err)
		}
	}
	if err != nil && in.ctx.Err() == nil {
		return nil
	}
	return in.way.close()
}

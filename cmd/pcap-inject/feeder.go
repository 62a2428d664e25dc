package main

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/files"
	"pcap-replay/internal/filter"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/input"
	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
	"pcap-replay/internal/rewrite"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tunnel"
	"pcap-replay/stream"
)

// feeder reads the stream ahead of time into the rings of the sending threads.
type feeder struct {
	playback *input.Playback
	messages *tool.Messages
	report   *tool.Report
	flags    *tool.Flags
	decap    *tunnel.Decapsulator
	filter   *filter.Packets
	split    *splitter         // or nil
	rewriter *rewrite.Rewriter // nil changes nothing
	egresses []*egress         // two with split
	policies frame.Policies
	axis     *schedule.Axis
	clock    schedule.Clock
	epoch    *schedule.Epoch
	rings    []*schedule.Ring

	delay time.Duration
	at    bool  // timestamps are wall-clock times
	asap  bool  // departures are when packets are read
	limit int64 // packets; 0 for all
	end   int64 // departure; 0 for none

	begun   bool
	started int64 // when the first packet arrived
	arrival int64 // when the source delivered the current packets
	held    int64 // how long full rings have delayed reading
	queued  int64 // packets that go into the rings, for limit

	in, filtered, overlong, outOfOrder, disorder atomic.Int64
	reported                                     [frame.SkipReasons]int64 // skipped packets
}

// egress is an interface, or the file, as the feeder sees it.
type egress struct {
	name   string // of the interface
	fitter *frame.Fitter
	// allowLonger says how to allow frames of a length in bytes, or "" if that is impossible.
	// It is nil for a file.
	allowLonger func(length int) string
	// hintLinkType says how frames of another link type can be written. It may be "".
	hintLinkType string
	skipped      [frame.SkipReasons]atomic.Int64 // packets
}

// hint says what to do about a packet that is not sent, or "".
func (e *egress) hint(packet *stream.Packet, reason frame.SkipReason) string {
	switch {
	case reason == frame.SkippedLinkType:
		return e.hintLinkType
	case reason != frame.SkippedOversize || e.allowLonger == nil:
		return ""
	}
	allow := e.allowLonger(max(len(packet.Data), int(packet.WireLength)))
	const segment = "--oversize segment cuts TCP packets as network cards do"
	switch canSegment := e.fitter.WouldSegment(packet); {
	case canSegment && allow != "":
		return segment + "; or " + allow
	case canSegment:
		return segment
	case allow != "":
		return allow
	}
	return "--oversize truncate sends the beginning of such packets"
}

// egressOf returns where a packet leaves.
func (f *feeder) egressOf(packet *stream.Packet) *egress {
	if f.split == nil {
		return f.egresses[0]
	}
	return f.egresses[sideOf(packet)]
}

// errEnded ends a run at --limit or --duration, or because the sender has ended.
var errEnded = errors.New("ended")

// run feeds until the stream ends.
func (f *feeder) run() error {
	defer func() {
		for _, ring := range f.rings {
			ring.Close()
		}
	}()
	if err := f.playback.CheckOrder(f.flags); err != nil {
		return err
	}
	batch := make([]stream.Packet, input.BatchPackets)
	for {
		n, begins, err := f.readNext(batch)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if begins {
			f.axis.BeginSection()
		}
		f.in.Add(int64(n))
		if err := f.feed(batch[:n]); err == errEnded {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// silence is the duration of a read from which on the source had nothing ready. It is far
// longer than a copy from memory, and far shorter than the default --delay of 200 ms.
const silence = int64(2 * time.Millisecond)

// readNext reads the next packets and computes when the source delivered them. Larger rings
// would have read them earlier by the time for which the rings were full, if the source
// always had packets ready.
func (f *feeder) readNext(batch []stream.Packet) (n int, begins bool, err error) {
	if f.playback.Buffered() {
		return f.playback.Read(batch)
	}
	before := f.clock.Now()
	n, begins, err = f.playback.Read(batch)
	now := f.clock.Now()
	if now-before > silence {
		f.held = 0
	}
	f.arrival = now - f.held
	return n, begins, err
}

// feed puts the packets of a batch that are to be sent into the rings.
func (f *feeder) feed(packets []stream.Packet) error {
	f.decap.Decap(packets)
	kept, err := f.filter.Keep(packets)
	f.filtered.Store(f.filter.Rejected())
	if err != nil {
		return err
	}
	if err := f.split.decide(kept, f.messages); err != nil {
		return err
	}
	if !f.begun && len(kept) > 0 {
		if err := f.begin(&kept[0]); err != nil {
			return err
		}
	}
	err = f.putAll(kept)
	f.publish()
	f.reportSkipped()
	outOfOrder, disorder := f.axis.OutOfOrder()
	f.outOfOrder.Store(outOfOrder)
	f.disorder.Store(disorder)
	return err
}

// startTolerance is how late the first packet of --at may be: as long as pcap-pace --start-at
// writes packets ahead by default.
const startTolerance = int64(time.Second)

// begin maps departure 0 to the clock.
func (f *feeder) begin(first *stream.Packet) error {
	f.begun, f.started = true, f.arrival
	if err := f.egressOf(first).fitter.Check(first.LinkType); err != nil {
		return err
	}
	switch {
	case f.asap:
		f.epoch.Set(f.arrival)
	case f.at:
		moment := schedule.Moment(first.Time)
		if late := f.clock.Now() - moment; late > startTolerance {
			return tool.WithHint(fmt.Errorf("--at: the first packet was to leave at %s, %s ago",
				record.Time(first.Time), duration.Text(time.Duration(late).Seconds())), "pcap-pace --start-at sets timestamps in the future")
		}
		f.epoch.Set(moment)
	default:
		f.epoch.Set(f.arrival + int64(f.delay))
	}
	return nil
}

func (f *feeder) putAll(packets []stream.Packet) error {
	for i := range packets {
		departure := f.arrival - f.started
		if !f.asap {
			departure = f.axis.Departure(&packets[i])
		}
		if f.end > 0 && departure >= f.end || f.limit > 0 && f.queued >= f.limit {
			return errEnded
		}
		f.trim(&packets[i])
		egress := f.egressOf(&packets[i])
		frames, skip := f.frames(egress, packets[i:i+1])
		if skip != frame.NotSkipped {
			if f.skip(&packets[i], skip) {
				f.tellSkipped(&packets[i], egress.fitter.Explain(&packets[i], skip))
				f.messages.Hint(egress.hint(&packets[i], skip))
			}
			continue
		}
		f.queued++
		for j := range frames {
			if !f.put(&frames[j], departure, j == len(frames)-1) {
				return errEnded
			}
		}
	}
	return nil
}

// frames returns the frames to send for the one packet in packets. It gets its Ethernet
// header before it is changed, and its length after that.
func (f *feeder) frames(egress *egress, packets []stream.Packet) ([]stream.Packet, frame.SkipReason) {
	if skip := egress.fitter.Link(&packets[0]); skip != frame.NotSkipped {
		return nil, skip
	}
	f.rewriter.Rewrite(packets)
	return egress.fitter.Frames(packets)
}

// trim cuts a packet to its length on the wire. Some captures hold more bytes of a
// packet than that. Such packets are counted, and the first one is reported.
func (f *feeder) trim(packet *stream.Packet) {
	captured := len(packet.Data)
	if uint64(captured) <= uint64(packet.WireLength) {
		return
	}
	packet.Data = packet.Data[:packet.WireLength]
	if f.overlong.Add(1) == 1 {
		f.messages.Warnf("%s: the packet of %s has %s in the capture but %d on the wire: this packet and others like it are cut to their length on the wire",
			files.Display(f.playback.Current(), ""), record.Time(packet.Time), plural.Of(captured, "byte"), packet.WireLength)
	}
}

// put waits for room in the ring. It returns false if nothing more will be sent.
func (f *feeder) put(frame *stream.Packet, departure int64, last bool) bool {
	ring := f.ringOf(frame)
	for !ring.Put(frame, departure, f.arrival, last) {
		f.publish() // otherwise another thread would wait, too
		before := f.clock.Now()
		if !ring.WaitForRoom(f.clock, f.roomPoll()) {
			return false
		}
		f.held += f.clock.Now() - before
	}
	return true
}

// roomPoll is the interval at which room is checked. It is much shorter than the time that
// half a ring lasts.
func (f *feeder) roomPoll() time.Duration {
	if f.asap {
		return 100 * time.Microsecond
	}
	return time.Millisecond
}

func (f *feeder) publish() {
	for _, ring := range f.rings {
		ring.Publish()
	}
}

// ringOf returns the ring for a packet. All frames between two addresses use the same ring.
func (f *feeder) ringOf(packet *stream.Packet) *schedule.Ring {
	if len(f.rings) == 1 {
		return f.rings[0]
	}
	return f.rings[frame.ShardOf(packet, uint32(len(f.rings)))]
}

// skip counts a packet that is not sent. If no flag requested that, the exit code becomes
// 3. tell is true for the first packet of its kind. It is safe for concurrent use.
func (f *feeder) skip(packet *stream.Packet, reason frame.SkipReason) (tell bool) {
	first := f.egressOf(packet).skipped[reason].Add(1) == 1
	if f.policies.Asked(reason) {
		return false
	}
	f.messages.MarkError()
	return first
}

// tellSkipped reports why a packet is not sent.
func (f *feeder) tellSkipped(packet *stream.Packet, why string) {
	where := ""
	if f.split != nil {
		where = " on " + f.egressOf(packet).name
	}
	f.messages.Errorf("packet of %s and others like it are not sent%s: %s", record.Time(packet.Time), where, why)
}

// skipped is the number of packets that were not sent for a reason.
func (f *feeder) skipped(reason frame.SkipReason) (total int64) {
	for _, egress := range f.egresses {
		total += egress.skipped[reason].Load()
	}
	return total
}

// reportSkipped writes an event for each kind of packet skipped since the last
// call.
func (f *feeder) reportSkipped() {
	for reason := range frame.SkipReasons {
		total := f.skipped(reason)
		if count := total - f.reported[reason]; count > 0 {
			f.reported[reason] = total
			f.report.Skipped(f.playback.Current(), "", reason.String(), count)
		}
	}
}

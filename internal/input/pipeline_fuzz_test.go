package input_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/frame"
	"pcap-replay/internal/input"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/merge"
	"pcap-replay/internal/schedule"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// Whatever the input, every packet that can be read passes all engines: it is merged in
// order, written and read again unchanged, sent at its time as frames, or counted if it
// cannot be sent.
func FuzzPipeline(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		throughArchive(t, data)
		packets := lab.ReadPackets(t, bytes.NewReader(data))
		packets = slices.DeleteFunc(packets, func(p stream.Packet) bool { return !asPcapNG.Holds(p.Time) })
		if len(packets) > maxPackets {
			return // it expands when it is decompressed
		}
		// A window of a second sorts less, but no packet is lost.
		got := merged(t, data, 1e9, 1<<20)
		wantSame(t, sorted(got, compareAll), sorted(packets, compareAll))
		for _, memory := range []int64{0, 1 << 20} {
			got = merged(t, data, math.MaxInt64, memory)
			wantSame(t, got, sorted(packets, compareTimes))
		}
		path := filepath.Join(t.TempDir(), "merged.pcapng")
		writeCapture(t, path, got)
		wantSame(t, lab.ReadCapture(t, path), got)
		sendAll(t, path, got)
	})
}

// maxPackets limits the time of one round of the fuzzer.
const maxPackets = 1 << 12

// asPcapNG are options for a format that can hold every link type.
var asPcapNG = stream.WriterOptions{PcapNG: true}

// throughArchive reads data as a member of a tarball.
func throughArchive(t *testing.T, data []byte) {
	t.Helper()
	tarball := lab.Compressed(t, lab.Tar(t, map[string][]byte{"a.pcap": data}), stream.Gzip)
	r, err := archive.NewReader(bytes.NewReader(tarball))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m, err := r.Next(); err != nil || m.Size != int64(len(data)) {
		t.Fatalf("member %+v: %v", m, err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes of the member, wanted %d: %v", len(got), len(data), err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatalf("behind the last member: %v", err)
	}
}

// merged merges the sections of data, read as a stream.
func merged(t *testing.T, data []byte, window, memory int64) (packets []stream.Packet) {
	t.Helper()
	runs := merge.NewRuns(memory, t.TempDir(), window, false)
	defer runs.Close()
	added, err := runs.Add(io.NopCloser(bytes.NewReader(data)), "-", "", isExpected)
	if err != nil {
		t.Fatal(err)
	}
	merger, err := merge.New(added.Inputs, merge.Options{Mixed: true, Trouble: func(_ *merge.Input, err error) error { return isExpected(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer merger.Close()
	batch := make([]stream.Packet, input.BatchPackets)
	for {
		n, err := merger.Read(batch)
		for _, packet := range batch[:n] {
			if asPcapNG.Holds(packet.Time) {
				packet.Data = bytes.Clone(packet.Data)
				packets = append(packets, packet)
			}
		}
		if err == io.EOF {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// isExpected returns nil for an error that damaged data may cause.
func isExpected(err error) error {
	var damage *stream.Damage
	if errors.As(err, &damage) || errors.Is(err, stream.ErrNotCapture) {
		return nil
	}
	return err
}

func writeCapture(t *testing.T, path string, packets []stream.Packet) {
	t.Helper()
	var capture bytes.Buffer
	w, err := stream.NewWriter(&capture, asPcapNG)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(packets), w.Close(), os.WriteFile(path, capture.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
}

// sendAll plays a capture of packets in order, and checks what is sent and when.
func sendAll(t *testing.T, path string, packets []stream.Packet) {
	t.Helper()
	size := 1 << 20
	for i := range packets {
		size += 2 * len(packets[i].Data) // room for headers of segments
	}
	var (
		ring     = schedule.NewRing(maxFrames, max(size, 4*stream.MaxCaptureLength))
		clock    = &stepClock{}
		sender   = &recorder{clock: clock}
		epoch    = &schedule.Epoch{}
		lateness = schedule.NewLateness()
		feed     = feeding{ring: ring, axis: schedule.NewAxis(schedule.TimeScale{MaxGap: maxGap})}
		refused  = 0
	)
	epoch.Set(0)
	feed.play(t, path)
	if feed.in != len(packets) || feed.in != feed.put+feed.skipped {
		t.Fatalf("%d packets in, %d put and %d skipped; wanted %d in", feed.in, feed.put, feed.skipped, len(packets))
	}
	transmission := schedule.Transmission{Ring: ring, Sender: sender, Clock: clock, Epoch: epoch, Lateness: lateness}
	for {
		err := transmission.Run()
		var refusal *schedule.Refusal
		if err == nil {
			break
		}
		if !errors.As(err, &refusal) {
			t.Fatal(err) // an underrun, where all packets came in time
		}
		if refusal.Last {
			refused++
		}
	}
	sent, _, _ := transmission.Sent()
	if int(sent)+refused != feed.put {
		t.Fatalf("%d packets sent and %d refused of %d", sent, refused, feed.put)
	}
	sender.check(t, feed.frames)
}

const (
	maxFrames = 1 << 15
	mtu       = 1500
	// maxGap shortens gaps of years, because a waiting thread checks ten times a second
	// whether to end.
	maxGap = time.Second
)

// due is a frame and its departure time.
type due struct {
	data      []byte
	departure int64
}

// feeding makes frames of packets and puts them into a ring.
type feeding struct {
	ring             *schedule.Ring
	axis             *schedule.Axis
	segmenter        frame.Segmenter
	in, put, skipped int
	frames           []due // that are not too short

	before    int64 // time of the packet before
	hasBefore bool
	expected  int64 // its departure
}

// play reads a capture that has one section, and puts all its packets into the ring, sorted
// by time.
func (f *feeding) play(t *testing.T, path string) {
	t.Helper()
	problems := &input.Problems{Messages: &tool.Messages{}, Report: &tool.Report{}}
	playback, err := input.NewPlayback(context.Background(), []string{path}, &input.Opener{}, problems, &tool.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]stream.Packet, input.BatchPackets)
	for {
		n, begins, err := playback.Read(batch)
		if err == io.EOF {
			f.ring.Close()
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if begins != (f.in == 0) {
			t.Fatalf("a section begins at packet %d", f.in+1)
		}
		if begins {
			f.axis.BeginSection()
		}
		for i := range batch[:n] {
			f.putPacket(t, &batch[i])
		}
	}
}

func (f *feeding) putPacket(t *testing.T, packet *stream.Packet) {
	t.Helper()
	f.in++
	departure := f.axis.Departure(packet)
	if want := f.expect(packet); departure != want {
		t.Fatalf("packet %d departs at %d, wanted %d", f.in, departure, want)
	}
	frames := f.framesOf(packet)
	if len(frames) == 0 {
		f.skipped++
		return
	}
	f.put++
	for i := range frames {
		if !f.ring.Put(&frames[i], departure, 0, i == len(frames)-1) {
			t.Skip("more than the ring holds")
		}
		if len(frames[i].Data) >= frame.EthernetLength {
			f.frames = append(f.frames, due{bytes.Clone(frames[i].Data), departure})
		}
	}
	f.ring.Publish()
}

// expect returns the departure of a packet in order: the gap after the one before it, at most
// maxGap. A packet without a timestamp leaves with the packet before it.
func (f *feeding) expect(packet *stream.Packet) int64 {
	if packet.Untimed {
		return f.expected
	}
	if f.hasBefore {
		f.expected += min(packet.Time-f.before, int64(maxGap))
	}
	f.before, f.hasBefore = packet.Time, true
	return f.expected
}

// framesOf makes Ethernet frames within the MTU, or none if that is not possible.
func (f *feeding) framesOf(packet *stream.Packet) []stream.Packet {
	made := *packet
	if made.LinkType != stream.LinkTypeEthernet {
		data, err := frame.AppendEthernet(nil, packet)
		if err != nil {
			return nil
		}
		made.Data, made.WireLength, made.LinkType = data, uint32(len(data)), stream.LinkTypeEthernet
	}
	if len(made.Data) <= frame.MaxLength(made.Data, mtu) {
		return []stream.Packet{made}
	}
	segments, err := f.segmenter.Segment(&made, mtu)
	if err != nil {
		return nil
	}
	return segments
}

// stepClock advances a little at each reading, and wakes up in time.
type stepClock struct{ now int64 }

func (c *stepClock) Now() int64 { c.now += 30; return c.now }

func (c *stepClock) SleepUntil(moment int64) { c.now = max(c.now, moment) }

// recorder is an interface that refuses frames without an Ethernet header.
type recorder struct {
	clock  *stepClock
	frames []due // as they left
}

func (r *recorder) WarmUp() {}

func (r *recorder) Flush() error { return nil }

func (r *recorder) Send(packets []stream.Packet) (sent int, err error) {
	for i := range packets {
		if len(packets[i].Data) < frame.EthernetLength {
			return i, frame.ErrTooShort
		}
		r.frames = append(r.frames, due{bytes.Clone(packets[i].Data), r.clock.now})
	}
	return len(packets), nil
}

// maxLate is the maximum lateness in nanoseconds: more than the readings of the clock take
// for frames that are due at the same time.
const maxLate = 100_000

// check compares the frames that left with those that were due. They must be the same frames
// in the same order. No frame may leave before its time, or later than maxLate.
func (r *recorder) check(t *testing.T, want []due) {
	t.Helper()
	if len(r.frames) != len(want) {
		t.Fatalf("%d frames left, wanted %d", len(r.frames), len(want))
	}
	for i, got := range r.frames {
		late := got.departure - want[i].departure
		if !bytes.Equal(got.data, want[i].data) || late < 0 || late > maxLate {
			t.Fatalf("frame %d: %d bytes left at %d, wanted %d bytes at %d", i, len(got.data), got.departure, len(want[i].data), want[i].departure)
		}
		if len(got.data) > frame.MaxLength(got.data, mtu) {
			t.Fatalf("frame %d has %d bytes", i, len(got.data))
		}
	}
}

func wantSame(t *testing.T, got, want []stream.Packet) {
	t.Helper()
	lab.WantPackets(t, got, want)
	if t.Failed() {
		t.FailNow()
	}
}

// sorted returns a sorted copy, in which packets of equal time keep their order.
func sorted(packets []stream.Packet, compare func(a, b stream.Packet) int) []stream.Packet {
	packets = slices.Clone(packets)
	slices.SortStableFunc(packets, compare)
	return packets
}

func compareTimes(a, b stream.Packet) int { return cmp.Compare(a.Time, b.Time) }

func compareAll(a, b stream.Packet) int {
	return cmp.Or(compareTimes(a, b), bytes.Compare(a.Data, b.Data), cmp.Compare(a.WireLength, b.WireLength))
}

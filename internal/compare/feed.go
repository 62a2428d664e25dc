package compare

import (
	"errors"
	"io"

	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// Reader is a source of packets, such as a [stream.Reader].
type Reader interface {
	// Read is like that of stream.Reader.
	Read(dst []stream.Packet) (int, error)
	Section() stream.Section
}

// feed reads one side ahead, in its own goroutine.
type feed struct {
	reader  Reader
	packets []stream.Packet // of the last Read
	err     error           // the error that came instead of packets
	digester
	batches chan *batch // is never closed; it ends with a batch that has an error other than damage
	unused  chan *batch
	ended   bool
	stats   record.Compared
	latest  int64
}

// batch is packets, or the error that came instead.
type batch struct {
	packets []packet
	err     error
}

const (
	// Handing over a batch takes little beside reading this many packets.
	batchPackets = 256
	batchesAhead = 16 // together, lookAhead packets
)

func newFeed(reader Reader) *feed {
	f := &feed{reader: reader, packets: make([]stream.Packet, batchPackets), batches: make(chan *batch, batchesAhead), unused: make(chan *batch, batchesAhead)}
	for range batchesAhead {
		f.unused <- &batch{packets: make([]packet, batchPackets)}
	}
	return f
}

// read reads the next packets, or an error.
func (f *feed) read() {
	f.packets = f.packets[:cap(f.packets)]
	var n int
	n, f.err = f.reader.Read(f.packets)
	f.packets = f.packets[:n]
}

// run digests the packets that were read and all that follow, until an error other than
// damage, or until stop is closed.
func (f *feed) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case b := <-f.unused:
			b.packets, b.err = b.packets[:len(f.packets)], f.err
			for i := range f.packets {
				f.digest(&f.packets[i], &b.packets[i])
			}
			end := f.err != nil && !isDamage(f.err)
			f.batches <- b // has room for all
			if end {
				return
			}
			f.read()
		}
	}
}

func isDamage(err error) bool {
	var damage *stream.Damage
	return errors.As(err, &damage)
}

// take counts a batch. It returns an error other than damage.
func (f *feed) take(b *batch) error {
	switch {
	case b.err == io.EOF:
		f.ended = true
	case b.err != nil && !isDamage(b.err):
		return b.err
	}
	f.count(b.packets)
	return nil
}

func (f *feed) release(b *batch) {
	b.packets = b.packets[:cap(b.packets)]
	f.unused <- b
}

func (f *feed) count(packets []packet) {
	s := &f.stats
	for i := range packets {
		p := &packets[i]
		s.Packets++
		s.Bytes += int64(p.captured)
		s.WireBytes += int64(p.length)
		if p.captured < p.length {
			s.Truncated++
		}
		switch {
		case p.is(untimed):
			s.Untimed++
			continue
		case s.First == nil:
			s.First, s.Last = new(record.Time), new(record.Time)
			*s.First, f.latest = record.Time(p.time), p.time
		case p.time < f.latest:
			s.OutOfOrder++
		}
		*s.Last, f.latest = record.Time(p.time), max(f.latest, p.time)
	}
}

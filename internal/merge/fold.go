package merge

import (
	"context"
	"io"
	"math"
	"slices"

	"pcap-replay/stream"
)

// MostOpen is the largest number of inputs that are open at the same time: each takes some 12 KiB, so that
// all of them take 12 MiB.
const MostOpen = 1024

// Fold makes fewer inputs if more than most of them are open at the same time: it merges
// groups of successive inputs, most in each group, into runs. The result of the merge stays
// the same, because the runs are in the order of their inputs, and a merge of the runs reads
// the packets in the same order. Other inputs are returned unchanged. Options are those of
// the later merge.
func (r *Runs) Fold(ctx context.Context, inputs []*Input, most int, options Options) ([]*Input, error) {
	if mostAtATime(inputs) <= most {
		return inputs, nil
	}
	if _, err := checkLinkTypes(inputs, options); err != nil {
		return nil, err
	}
	chunkSize := min(partOf(chunkBudget/2, len(inputs)/most), mostFoldedChunk) // a runReader holds two
	var folded []*Input
	for group := range slices.Chunk(inputs, most) {
		run, err := r.fold(ctx, group, chunkSize, options)
		if err != nil {
			return nil, err
		}
		if run != nil {
			folded = append(folded, run)
		}
		clear(group) // frees their memory
	}
	return folded, r.spill.flush()
}

// mostAtATime is the largest number of inputs that are open at the same time.
func mostAtATime(inputs []*Input) int {
	starts, ends := make([]int64, len(inputs)), make([]int64, len(inputs))
	for i, input := range inputs {
		starts[i], ends[i] = input.Start, max(input.Start, input.End)
	}
	slices.Sort(starts)
	slices.Sort(ends)
	most, closed := 0, 0
	for opened, start := range starts {
		for ends[closed] < start {
			closed++
		}
		most = max(most, opened+1-closed)
	}
	return most
}

// fold merges inputs into one. The result is nil if they have no packets.
func (r *Runs) fold(ctx context.Context, inputs []*Input, chunkSize int, options Options) (*Input, error) {
	merger, err := New(inputs, options)
	if err != nil {
		return nil, err
	}
	defer merger.Close()
	first := inputs[0]
	w := runWriter{chunkSize: chunkSize, run: &run{runs: r, contents: Contents{Earliest: math.MaxInt64}}}
	r.count++
	batch := make([]stream.Packet, maxBatch)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := merger.Read(batch)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		for i := range batch[:n] {
			if err := w.add(&batch[i]); err != nil {
				return nil, err
			}
		}
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	if len(w.run.chunks) == 0 {
		return nil, nil
	}
	return &Input{
		Start: w.run.contents.Earliest, End: math.MaxInt64, First: w.run.contents.Earliest,
		LinkType: w.run.contents.LinkType, HasLinkType: true,
		origin: newOrigin(first.Path(), first.Archive(), func(*Input, int) (Reader, error) { return &runReader{run: w.run}, nil }),
	}, nil
}

// runWriter appends packets to a run, in its own chunks.
type runWriter struct {
	run       *run
	chunkSize int // in bytes, unless a packet is larger
	packets   []stream.Packet
	data      []byte
}

// mostFoldedChunk is the largest size of a chunk in bytes, which stays in the CPU cache.
const mostFoldedChunk = 32 << 10

// add copies a packet.
func (w *runWriter) add(packet *stream.Packet) error {
	if full := len(w.packets) == cap(w.packets) || len(packet.Data) > cap(w.data)-len(w.data); full {
		if err := w.flush(); err != nil {
			return err
		}
		w.makeRoom(len(packet.Data))
	}
	c := &w.run.contents
	if !c.HasLinkType {
		c.LinkType, c.HasLinkType = packet.LinkType, true
	}
	c.Earliest = min(c.Earliest, packet.Time)
	start := len(w.data)
	w.data = append(w.data, packet.Data...)
	copied := *packet
	copied.Data = w.data[start:len(w.data):len(w.data)]
	w.packets = append(w.packets, copied)
	return nil
}

// makeRoom makes room for a chunk whose first packet has size bytes.
func (w *runWriter) makeRoom(size int) {
	if w.packets == nil {
		w.packets = make([]stream.Packet, 0, w.chunkSize/64)
	}
	if cap(w.data) < max(size, w.chunkSize) {
		w.data = make([]byte, 0, max(size, w.chunkSize))
	}
}

// flush ends a chunk.
func (w *runWriter) flush() error {
	if len(w.packets) == 0 {
		return nil
	}
	r := w.run.runs
	r.added.Add(int64(len(w.packets))) // packets that were taken from other runs are held again
	if size := int64(packetSize*cap(w.packets) + cap(w.data)); r.used+size <= r.memory {
		r.used += size
		w.run.chunks = append(w.run.chunks, chunk{packets: w.packets})
		w.packets, w.data = nil, nil
		return nil
	}
	copied := make(chan struct{}) // closed when w.packets and w.data may be used again
	spilled, err := r.spill.add(w.packets, func() { close(copied) })
	<-copied
	w.run.chunks = append(w.run.chunks, chunk{spilled: spilled})
	w.packets, w.data = w.packets[:0], w.data[:0]
	return err
}

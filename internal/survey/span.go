package survey

import (
	"errors"
	"io"
	"math"

	"pcap-replay/stream"
)

// Span is when a capture runs, in nanoseconds since the Unix epoch.
type Span struct {
	First int64 // of the first packet
	// Latest is the largest time known. In a capture of which only a part was read, later
	// packets may be later.
	Latest int64
}

// tailSize is how much of the end of a plain pcap is read, in bytes: the longest record,
// and a chain of others by which a Reader recognises where a record begins.
const tailSize = 4 * stream.MaxCaptureLength

// FindSpan finds when a capture of size bytes runs. Of a large plain pcap it reads the
// first packets and the end, and of others at most limit bytes after decompression. ok is
// false for a capture without times in that part. The error wraps [stream.ErrNotCapture],
// or is that of the file. The reader lends its memory, as there may be many files.
func FindSpan(r *stream.Reader, file io.ReaderAt, size, limit int64) (span Span, ok bool, err error) {
	r.Reset(io.NewSectionReader(file, 0, size))
	s := survey{latest: math.MinInt64}
	if err := s.readUpTo(r, 1); err != nil {
		return span, false, err
	}
	latest, found := int64(math.MinInt64), false
	if s.timed {
		latest, found = latestInTail(file, size)
	}
	if !found {
		err = s.readUpTo(r, limit)
	}
	return Span{First: s.first, Latest: max(s.latest, latest)}, s.timed, err
}

// readUpTo reads until the reader has come to an offset, and past damage.
func (s *survey) readUpTo(r *stream.Reader, offset int64) error {
	pooled := batches.Get().(*[batchSize]stream.Packet)
	defer batches.Put(pooled)
	batch := pooled[:]
	for r.Offset() < offset {
		n, err := r.Read(batch)
		s.add(batch[:n])
		var damage *stream.Damage
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.As(err, &damage) {
			return err
		}
	}
	return nil
}

// latestInTail is the largest time at the end of a large plain pcap. found is false for
// other files, and where the end is damaged or belongs to another section.
func latestInTail(file io.ReaderAt, size int64) (latest int64, found bool) {
	if size < 2*tailSize {
		return 0, false
	}
	header, ok := readHeader(file)
	if !ok {
		return 0, false
	}
	start := findRecord(file, header, size, size-tailSize)
	r := readerAt(file, header, start, size)
	defer r.Close()
	latest = math.MinInt64
	batch := make([]stream.Packet, batchSize)
	for {
		n, err := r.Read(batch)
		if err == io.EOF {
			return latest, r.Sections() == 1 && latest != math.MinInt64
		}
		if err != nil {
			return 0, false
		}
		for i := range batch[:n] {
			latest = max(latest, batch[i].Time)
		}
	}
}

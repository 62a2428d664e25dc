package archive

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"pcap-replay/internal/bunzip2"
	"pcap-replay/internal/gunzip"
	"pcap-replay/stream"
)

const (
	// maxWorkers is the number of spans of one reader that are decompressed at the same
	// time. waitingPieces is the number of pieces of cellSize that each may decompress
	// before it is its turn. Together they take 64 MiB.
	maxWorkers    = 4
	waitingPieces = pointDistance / cellSize
)

// plain returns the uncompressed data of a compressed tarball between two offsets. All of it
// has been checked.
func (x *Indexed) plain(from, to int64, workers int) io.ReadCloser {
	first, end := x.pointBefore(from), x.pointBefore(max(to-1, from))+1
	if workers > 1 && end-first > 1 {
		return newParallelSpans(x, first, end, from, to, workers)
	}
	s := &spans{index: x, next: first, end: end, from: from, to: to}
	s.advance = s.nextPiece
	return s
}

// pieceReader reads piece by piece.
type pieceReader struct {
	advance func() ([]byte, error) // the next piece, which may be empty
	piece   []byte                 // the rest of the current piece
	err     error
}

func (r *pieceReader) Read(p []byte) (int, error) {
	for len(r.piece) == 0 {
		if r.err == nil {
			r.piece, r.err = r.advance()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.piece)
	r.piece = r.piece[n:]
	return n, nil
}

// span is the uncompressed data from one point to the next.
type span struct {
	index  *Indexed
	point  int
	offset int64 // of the next piece
	sum    uint32
	end    int64
	endSum uint32 // of the cell that end is in, up to end, unless a cell ends there
	src    io.Reader
	close  func()
}

// openSpan opens the span from a point on: see reach.
func (x *Indexed) openSpan(i int, to int64) (*span, error) {
	p := x.points[i]
	s := &span{index: x, point: i, offset: p.Offset, sum: p.Sum}
	if p.Offset%cellSize == 0 {
		s.sum = 0
	}
	s.reach(to)
	src := io.NewSectionReader(x.archive, p.Bit/8, x.header.ArchiveSize-p.Bit/8)
	window, err := x.readWindow(&p)
	if err != nil {
		return nil, err
	}
	if x.Compression() != stream.Gzip {
		plain, err := resume(x.Compression(), src, p.Bit, window)
		if err != nil {
			return nil, err
		}
		s.src, s.close = plain, func() { plain.Close() }
		return s, nil
	}
	reader := x.gunzips.Get().(*gunzip.Reader)
	reader.Resume(src, &gunzip.Point{Bit: p.Bit, Offset: p.Offset, Window: window})
	s.src, s.close = reader, func() { x.gunzips.Put(reader) }
	return s, nil
}

// reach makes a span end at the next point, or at the end of the cell that has the last byte that
// is needed.
func (s *span) reach(to int64) {
	x := s.index
	s.end, s.endSum = min(x.footer.PlainSize, (to+cellSize-1)/cellSize*cellSize), 0
	if i := s.point + 1; i < len(x.points) && x.points[i].Offset <= s.end {
		s.end, s.endSum = x.points[i].Offset, x.points[i].Sum
	}
}

// resume decompresses from a point on. src begins with the byte that has its bit. The
// header of the stream is put before it.
func resume(compression stream.Compression, src io.Reader, bit int64, header []byte) (io.ReadCloser, error) {
	if compression == stream.Bzip2 && bit > 0 {
		reader := new(bunzip2.Reader)
		reader.Resume(bufio.NewReader(src), bit)
		return reader, nil
	}
	plain, _, err := stream.Decompress(io.MultiReader(bytes.NewReader(header), src))
	return plain, err
}

func (x *Indexed) readWindow(p *accessPoint) ([]byte, error) {
	if p.WindowLength == 0 {
		return nil, nil
	}
	compressed := make([]byte, p.WindowLength)
	if _, err := x.index.ReadAt(compressed, p.Window); err != nil {
		return nil, indexErrorf("window: %v", err)
	}
	window, err := x.windows.DecodeAll(compressed, make([]byte, 0, gunzip.WindowSize))
	if err != nil || len(window) > gunzip.WindowSize {
		return nil, indexErrorf("window: %v", err)
	}
	return window, nil
}

// newWindowDecoder decodes windows, from any goroutine.
func newWindowDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(maxWorkers), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(gunzip.WindowSize))
}

// readPiece reads the next piece into a buffer of cellSize bytes, checks it, and returns
// its offset. After the last one it returns io.EOF.
func (s *span) readPiece(buffer []byte) (piece []byte, offset int64, err error) {
	if s.offset >= s.end {
		return nil, s.offset, io.EOF
	}
	cell := s.offset / cellSize
	end := min(s.end, (cell+1)*cellSize)
	piece = buffer[:end-s.offset]
	if n, err := io.ReadFull(s.src, piece); err != nil {
		return nil, s.offset, indexErrorf("offset %d: %d of %d bytes: %v", s.offset, n, len(piece), err)
	}
	if end == s.index.footer.PlainSize {
		if n, _ := io.ReadFull(s.src, make([]byte, 1)); n > 0 {
			return nil, s.offset, indexErrorf("the tarball goes on at offset %d", end)
		}
	}
	both := s.endSum
	if end%cellSize == 0 || end == s.index.footer.PlainSize {
		if both, err = s.index.cellSum(cell); err != nil {
			return nil, s.offset, err
		}
	}
	if crc32.Checksum(piece, crc32.IEEETable) != sumBetween(s.sum, both, int64(len(piece))) {
		return nil, s.offset, indexErrorf("offset %d: %d bytes are not those of the archive when it was indexed", s.offset, len(piece))
	}
	offset = s.offset
	s.offset, s.sum = end, both
	if end%cellSize == 0 {
		s.sum = 0
	}
	return piece, offset, nil
}

func (x *Indexed) cellSum(cell int64) (uint32, error) {
	var sum [4]byte
	if _, err := x.index.ReadAt(sum[:], x.footer.Cells+4*cell); err != nil {
		return 0, indexErrorf("cells: %v", err)
	}
	return binary.LittleEndian.Uint32(sum[:]), nil
}

// cut returns the part of a piece between two offsets.
func cut(piece []byte, offset, from, to int64) []byte {
	end := min(int64(len(piece)), max(0, to-offset))
	return piece[min(max(0, from-offset), end):end]
}

// spans reads one span after another.
type spans struct {
	pieceReader
	index     *Indexed
	next, end int // points
	from, to  int64
	current   *restingSpan
}

// nextPiece lets the span rest after the last piece, and not only when the reader is closed: a
// thousand members may be open at the same time, and most are smaller than a piece.
func (s *spans) nextPiece() (piece []byte, err error) {
	if s.current == nil {
		if s.next == s.end {
			return nil, io.EOF
		}
		if s.current, err = s.index.takeSpan(s.next, s.from, s.to); err != nil {
			return nil, err
		}
		s.next++
	}
	piece, offset, err := s.current.next()
	if err != nil {
		current := s.current
		s.current = nil
		current.free()
		if err == io.EOF {
			return nil, nil
		}
		return nil, err
	}
	piece = cut(piece, offset, s.from, s.to)
	if s.next == s.end && s.current.offset >= s.current.end {
		piece = bytes.Clone(piece)
		err = s.Close()
	}
	return piece, err
}

func (s *spans) Close() error {
	if s.current != nil {
		s.current.rest()
		s.current = nil
	}
	return nil
}

// parallelSpans reads several spans at the same time and returns them in order.
type parallelSpans struct {
	pieceReader
	index    *Indexed
	from, to int64
	jobs     chan *spanJob // in the order of the spans, besides one that is read and one that is sent
	current  *spanJob
	buffer   []byte        // of the piece
	started  chan struct{} // closed with the first piece
	stop     chan struct{}
	running  sync.WaitGroup
	free     chan []byte // buffers whose data has been read
}

type spanJob struct {
	pieces chan spanPiece
	err    error // io.EOF; set before pieces is closed
}

type spanPiece struct{ buffer, piece []byte }

func newParallelSpans(x *Indexed, first, end int, from, to int64, workers int) *parallelSpans {
	s := &parallelSpans{
		index: x, from: from, to: to, jobs: make(chan *spanJob, max(0, workers-2)), started: make(chan struct{}), stop: make(chan struct{}),
		free: make(chan []byte, workers*waitingPieces),
	}
	s.advance = s.nextPiece
	s.running.Add(1)
	go s.dispatch(first, end, workers)
	return s
}

// dispatch starts a job for each span, workers at a time. Until the first piece is ready,
// only the first job runs, so that the others do not delay it.
func (s *parallelSpans) dispatch(first, end, workers int) {
	defer s.running.Done()
	defer close(s.jobs)
	slots := make(chan struct{}, workers)
	for i := first; i < end; i++ {
		job := &spanJob{pieces: make(chan spanPiece, waitingPieces)}
		select {
		case slots <- struct{}{}:
		case <-s.stop:
			return
		}
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			defer func() { <-slots }()
			defer close(job.pieces)
			job.err = s.run(i, job)
		}()
		select {
		case s.jobs <- job:
		case <-s.stop:
			return
		}
		select {
		case <-s.started:
		case <-s.stop:
			return
		}
	}
}

// run reads one span.
func (s *parallelSpans) run(i int, job *spanJob) error {
	current, err := s.index.openSpan(i, s.to)
	if err != nil {
		return err
	}
	defer current.close()
	for {
		buffer := s.newBuffer()
		piece, offset, err := current.readPiece(buffer)
		if err != nil {
			return err
		}
		select {
		case job.pieces <- spanPiece{buffer, cut(piece, offset, s.from, s.to)}:
		case <-s.stop:
			return io.EOF
		}
	}
}

func (s *parallelSpans) newBuffer() []byte {
	select {
	case buffer := <-s.free:
		return buffer
	default:
		return make([]byte, cellSize)
	}
}

func (s *parallelSpans) nextPiece() ([]byte, error) {
	if s.current == nil {
		job, ok := <-s.jobs
		if !ok {
			return nil, io.EOF
		}
		s.current = job
	}
	if s.buffer != nil {
		select {
		case s.free <- s.buffer:
		default:
		}
		s.buffer = nil
	}
	next, ok := <-s.current.pieces
	if ok {
		s.buffer = next.buffer
		if len(next.piece) > 0 {
			s.start()
		}
		return next.piece, nil
	}
	s.start()
	err := s.current.err
	s.current = nil
	if err == io.EOF {
		return nil, nil
	}
	return nil, err
}

// start allows the other jobs to begin.
func (s *parallelSpans) start() {
	select {
	case <-s.started:
	default:
		close(s.started)
	}
}

// Close waits until no job reads the archive any more.
func (s *parallelSpans) Close() error {
	close(s.stop)
	s.running.Wait()
	return nil
}

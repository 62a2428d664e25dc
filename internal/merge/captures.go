package merge

import (
	"errors"
	"io"
	"math"

	"pcap-replay/internal/duration"
	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// Captures reads capture files for a merge.
type Captures struct {
	pool   *files.Pool
	window int64
	blocks *blocks
	paths  files.NameList // of the files
	files  Origin
	inputs inputSlab
}

// NewCaptures returns Captures that sort packets which are out of order by up to window
// nanoseconds. For this, each open file is read a window ahead, unless Contents says how far
// out of order it is. What was read ahead of a compressed file stays in memory. If memory
// bytes are not enough for all files, the windows become shorter.
func NewCaptures(pool *files.Pool, window, memory int64) *Captures {
	c := &Captures{pool: pool, window: window, blocks: newBlocks(max(memory, minMemory))}
	c.files = Origin{path: c.paths.At, open: func(in *Input, blockSize int) (Reader, error) {
		file, err := pool.Open(in.Path())
		if err != nil {
			return nil, err
		}
		return c.read(file, in, blockSize), nil
	}}
	return c
}

// minMemory is the least memory for reading ahead, in bytes.
const minMemory = 16 << 20

// Free frees the memory of files that have been closed.
func (c *Captures) Free() { c.blocks.freeVacant() }

// Contents is what is known of a capture before it is merged.
type Contents struct {
	First    int64 // time of the first packet; math.MinInt64 if unknown
	Earliest int64 // of all packets; likewise
	Latest   int64 // of all packets; math.MaxInt64 if unknown
	// Disorder is the largest time, in nanoseconds, by which a packet is earlier than
	// one before it. It is -1 if unknown.
	Disorder int64
	// Uncompressed means that the file has the packets uncompressed.
	Uncompressed bool
	// Sections is 0 if their number is unknown.
	Sections    int
	LinkType    stream.LinkType // of the first packet
	HasLinkType bool
	LinkTypes   []stream.LinkType // of the file headers
}

// start is the time at which a merge has to open a capture.
func (c Contents) start(window int64) int64 { return max(c.Earliest, duration.Before(c.First, window)) }

// UnknownDisorder means that the merge has to measure the disorder.
const UnknownDisorder = -1

// peekLimit is the size up to which a file is read before the merge, in bytes. This finds
// all its sections and its disorder.
const peekLimit = 4 << 20

// peekBlock is how many bytes of a file are read at a time.
const peekBlock = 64 << 10

// Peeker looks at files before they are merged. It uses its memory for one file after
// another. Close it after use.
type Peeker struct {
	captures *Captures
	reader   *stream.Reader
	batch    []stream.Packet
}

// NewPeeker returns a Peeker.
func (c *Captures) NewPeeker() *Peeker {
	return &Peeker{captures: c, reader: stream.NewReaderSize(nil, peekBlock), batch: make([]stream.Packet, 64)}
}

// Close frees what the last file has taken.
func (p *Peeker) Close() error { return p.reader.Close() }

// Peek reads the beginning of a file, or all of a small file. It skips damage, which the
// merge will find again.
func (p *Peeker) Peek(path string) (Contents, error) {
	file, err := p.captures.pool.Open(path)
	if err != nil {
		return Contents{}, err
	}
	defer file.Close()
	p.reader.Reset(io.NewSectionReader(file, 0, math.MaxInt64))
	return p.peek(file.Info().Size() <= peekLimit)
}

func (p *Peeker) peek(all bool) (Contents, error) {
	contents := Contents{First: math.MinInt64, Earliest: math.MinInt64, Latest: math.MaxInt64, Disorder: UnknownDisorder}
	disorder := newDisorder(p.captures.window)
	earliest, latest := int64(math.MaxInt64), int64(math.MinInt64)
	r, batch := p.reader, p.batch
	for seen := false; ; {
		n, err := r.Read(batch)
		if n > 0 && !seen {
			seen = true
			contents.First = batch[0].Time
			contents.LinkType, contents.HasLinkType = batch[0].LinkType, true
			contents.Uncompressed = r.Section().Compression == stream.Uncompressed
		}
		contents.LinkTypes = r.LinkTypes()
		if seen && (!all || r.Offset() > peekLimit) {
			return contents, nil
		}
		disorder.observe(batch[:n])
		for i := range batch[:n] {
			earliest, latest = min(earliest, batch[i].Time), max(latest, batch[i].Time)
		}
		switch {
		case err == io.EOF:
			contents.Disorder, contents.Sections = disorder.most, r.Sections()
			if seen {
				contents.Earliest, contents.Latest = earliest, latest
			}
			return contents, nil
		case err != nil && !isDamage(err):
			if seen {
				return contents, nil
			}
			return contents, err
		}
	}
}

// First returns the time of the first packet in a file, if it has one, in nanoseconds since
// the Unix epoch. It skips damage before it.
func (c *Captures) First(path string) (first int64, ok bool, err error) {
	file, err := c.pool.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer file.Close()
	return FirstOf(io.NewSectionReader(file, 0, math.MaxInt64))
}

// FirstOf is First for a source.
func FirstOf(src io.Reader) (first int64, ok bool, err error) {
	r := stream.NewReaderSize(src, peekBlock)
	defer r.Close()
	packet := make([]stream.Packet, 1)
	for {
		n, err := r.Read(packet)
		if n > 0 && !packet[0].Untimed {
			return packet[0].Time, true, nil
		}
		var damage *stream.Damage
		switch {
		case err == io.EOF:
			return 0, false, nil
		case err != nil && !errors.As(err, &damage):
			return 0, false, err
		}
	}
}

// File is a file to be merged.
func (c *Captures) File(path string, contents Contents) *Input {
	return c.input(&c.files, c.paths.Add(path), contents)
}

// Input is a capture to be merged. open opens it, also again after it has been closed.
func (c *Captures) Input(path, archive string, contents Contents, open func() (io.ReadCloser, error)) *Input {
	origin := newOrigin(path, archive, func(in *Input, blockSize int) (Reader, error) {
		src, err := open()
		if err != nil {
			return nil, err
		}
		return c.read(src, in, blockSize), nil
	})
	return c.input(origin, 0, contents)
}

func (c *Captures) input(origin *Origin, number int, contents Contents) *Input {
	in := c.inputs.new()
	*in = Input{
		origin: origin, number: int32(number),
		Start: contents.start(c.window), End: contents.Latest, First: contents.First, LinkType: contents.LinkType, HasLinkType: contents.HasLinkType,
		disorder: contents.Disorder, uncompressed: contents.Uncompressed,
	}
	return in
}

// read reads ahead as far as it is necessary to sort the packets.
func (c *Captures) read(src io.ReadCloser, in *Input, blockSize int) Reader {
	batch := batchSize(blockSize)
	if in.disorder != UnknownDisorder {
		return newReorderer(newLookahead(src, 0, c.blocks, blockSize, batch), nil, c.window, in.disorder)
	}
	file, isFile := src.(*files.PooledFile)
	var ahead *lookahead
	if isFile && in.uncompressed {
		ahead = newFileLookahead(file, c.window, c.blocks, blockSize, batch)
	} else {
		ahead = newLookahead(src, c.window, c.blocks, blockSize, batch)
	}
	return newReorderer(ahead, ahead, c.window, 0)
}

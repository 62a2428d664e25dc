package input

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/tool"
	"pcap-replay/stream"
)

// Playback plays inputs as one stream: the sections of one file after another.
type Playback struct {
	ctx      context.Context
	opener   *Opener
	problems *Problems
	progress *tool.Progress
	operands []string
	files    *FileList
	opened   map[int]io.ReadCloser // opened in advance; nil if opening failed
	start    int64                 // of stdin, if it is a file that is played again

	next    int // index of the file to open
	current File
	reader  *stream.Reader
	spare   *stream.Reader // of a file before, whose memory the next one uses
	head    *headKeeper    // of the open file
	closers []io.Closer
	read    atomic.Int64 // size of the open file
	before  int64        // size of the files that have been played
	section int          // of the last packets: its number in the file, counted from 1
	times   sectionTimes // of section

	again  bool // the files have been played, and their problems have been reported
	named  int  // files, including those that cannot be read
	failed int

	overlaps bool // two sections overlap, and that has been reported
}

// BatchPackets is the number of packets that are read at a time: enough to make a system
// call or a lock per batch negligible, and few enough to stay in the CPU cache (512 times
// 1,500 bytes).
const BatchPackets = 512

// ErrTarball is the error of a stream that is a tarball.
var ErrTarball = fmt.Errorf("%w but a tarball", stream.ErrNotCapture)

// NewPlayback returns a Playback of the files that the operands name.
func NewPlayback(ctx context.Context, operands []string, opener *Opener, problems *Problems, progress *tool.Progress) (*Playback, error) {
	p := &Playback{ctx: ctx, operands: operands, opener: opener, problems: problems, progress: progress, opened: map[int]io.ReadCloser{}}
	list, failed, err := opener.Expand(operands, Names{}, problems)
	if err != nil {
		return nil, err
	}
	p.files, p.named, p.failed = list, failed, failed
	if failed > 0 && problems.Strict {
		return nil, tool.ErrReported
	}
	return p, p.checkStdin()
}

// checkStdin refuses a terminal before anything is read.
func (p *Playback) checkStdin() error {
	for file := range p.files.All() {
		if file.Path == "-" {
			return p.opener.CheckStdin()
		}
	}
	return nil
}

// Size is the number of bytes to read, or -1 if it is unknown.
func (p *Playback) Size() int64 { return p.opener.Size(p.files.Paths()) }

// Current is the path of the current file.
func (p *Playback) Current() string { return p.current.Path }

// CheckRewinds returns an error if the files cannot be read more than once. flag is the
// flag that requires this, and hint is an alternative.
func (p *Playback) CheckRewinds(flag, hint string) error {
	for in := range p.files.All() {
		var file any = p.opener.In
		if in.Path != "-" {
			opened, err := os.Open(in.Path)
			if err != nil {
				continue // reported when its turn comes
			}
			defer opened.Close()
			file = opened
		}
		seeker, ok := file.(io.Seeker)
		var err error
		var place int64
		if ok {
			place, err = seeker.Seek(0, io.SeekCurrent)
		}
		if !ok || err != nil {
			return tool.UsageErrorf("%s reads its input more than once, but %s is not a file", flag, in.Display()).WithHint(hint)
		}
		if in.Path == "-" {
			p.start = place
		}
	}
	return nil
}

// Rewind goes back to the first file.
func (p *Playback) Rewind() error {
	p.closeFile()
	p.next, p.section, p.again = 0, 0, true
	for file := range p.files.All() {
		if file.Path == "-" {
			if _, err := p.opener.In.(io.Seeker).Seek(p.start, io.SeekStart); err != nil {
				return files.Named(file.Path, err)
			}
		}
	}
	return nil
}

// ForgetPosition restarts the progress after a Rewind.
func (p *Playback) ForgetPosition() { p.before = 0 }

// OpenAhead opens the files in advance, up to the limit of descriptors, because the
// privilege to open them may be dropped later.
func (p *Playback) OpenAhead() error {
	for i := range min(p.files.Len(), files.DescriptorLimit()/2) {
		in := p.files.At(i)
		file, err := p.opener.Open(in.Path)
		if err != nil {
			if err := p.notOpened(in, err); err != nil {
				return err
			}
			file = nil
		}
		p.opened[i] = file
	}
	return nil
}

// Read reads packets of one section into batch as soon as there are any, and reports
// whether they are the first of the section. Their data is valid until the next call. It
// returns io.EOF after the last file. Problems with files end the run only with --strict.
func (p *Playback) Read(batch []stream.Packet) (n int, begins bool, err error) {
	for {
		if p.reader == nil {
			if err := p.openNext(); err != nil {
				return 0, false, err
			}
			continue
		}
		n, err := p.reader.Read(batch)
		p.progress.Set(p.before + p.position())
		if n > 0 {
			p.head.forget()
			begins := p.section != p.reader.Sections()
			p.section = p.reader.Sections()
			p.watchSections(batch[:n], begins)
			return n, begins, nil
		}
		if err != nil {
			if err := p.settle(err); err != nil {
				return 0, false, err
			}
		}
	}
}

// position is the number of bytes of this file that have been played. It is as exact as
// possible, because a small file is read at once and then played for hours.
func (p *Playback) position() int64 {
	if section := p.reader.Section(); section.Format != stream.FormatUnknown && section.Compression == stream.Uncompressed {
		return p.reader.Offset()
	}
	return p.read.Load()
}

// Buffered reports whether Read will return packets without waiting for the source.
func (p *Playback) Buffered() bool { return p.reader != nil && p.reader.Buffered() }

// openNext opens the next file. After the last one it returns io.EOF, or ErrReported if no
// file could be read.
func (p *Playback) openNext() error {
	for p.next < p.files.Len() {
		index := p.next
		p.next++
		in := p.files.At(index)
		file, ahead := p.opened[index]
		if ahead {
			delete(p.opened, index)
		} else {
			var err error
			if file, err = p.opener.Open(in.Path); err != nil {
				if err := p.notOpened(in, err); err != nil {
					return err
				}
			}
		}
		if file != nil {
			p.open(in, file)
			return nil
		}
	}
	if !p.again {
		p.problems.WarnSkipped()
	}
	switch {
	case p.again:
	case p.named == 0:
		return NoCapture(p.operands, Names{})
	case p.failed == p.named:
		return tool.ErrReported
	}
	return io.EOF
}

func (p *Playback) open(in File, file io.ReadCloser) {
	if !p.again {
		p.named++
	}
	p.current = in
	p.read.Store(0)
	p.section = 0
	p.head = &headKeeper{src: NewSource(p.ctx, file, func(bytes int64) { p.read.Add(bytes) })}
	if p.spare == nil {
		p.spare = stream.NewReader(nil)
		p.spare.LeaveOutFCS()
	}
	p.reader, p.spare = p.spare, nil
	p.reader.Reset(p.head)
	p.closers = []io.Closer{p.reader, file}
}

func (p *Playback) closeFile() {
	if p.reader != nil {
		p.before += p.read.Load()
		p.spare = p.reader
	}
	for _, closer := range p.closers {
		closer.Close()
	}
	p.reader, p.closers = nil, nil
}

// notOpened counts a file that cannot be opened.
func (p *Playback) notOpened(in File, err error) error {
	if tool.IsUsage(err) {
		return err
	}
	if !p.again {
		p.named++
		p.failed++
		p.problems.Failed(in, err)
	}
	return p.problems.Stop()
}

// settle reports an error of the reader as a problem, or returns it.
func (p *Playback) settle(err error) error {
	var damage *stream.Damage
	switch {
	case errors.As(err, &damage):
		if !p.again {
			p.problems.Damage(p.current, damage)
		}
		return p.problems.Stop()
	case err == io.EOF && (p.reader.Sections() > 0 || p.current.IsCaptureIfEmpty()):
		p.closeFile()
		return nil
	case err == io.EOF:
		err = ErrEmpty
	case p.ctx.Err() != nil:
		return p.ctx.Err()
	}
	readAny := p.reader.Sections() > 0
	p.closeFile()
	switch {
	case p.again:
	case errors.Is(err, stream.ErrNotCapture):
		if archive.IsIn(bytes.NewReader(p.head.head)) {
			err = tool.WithHint(ErrTarball, "pcap-merge reads tarballs: put it before this tool in the pipeline")
		}
		if !p.problems.NotCapture(p.current, err) {
			p.named--
			return nil
		}
		p.failed++
	default:
		p.problems.Failed(p.current, err)
		if !readAny {
			p.failed++
		}
	}
	return p.problems.Stop()
}

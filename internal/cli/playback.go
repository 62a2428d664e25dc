package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"pcap-replay/stream"
)

// playback is the inputs of pcap-pace and pcap-inject as one stream: the sections
// of one file after another.
type playback struct {
	*job
	strict bool
	inputs []input
	opened map[int]io.ReadCloser // ahead of their time
	start  int64                 // of stdin, if it is a file that is played again

	next    int // index of the input to open
	current input
	reader  *stream.Reader
	closers []io.Closer
	taken   *progress       // of the input that is open
	before  int64           // bytes of those that have been played
	section *stream.Section // of the packets read last

	again  bool // the inputs have been played, and their damage has been said
	named  int  // inputs that count, those that cannot be read included
	failed int
}

// batchPackets is how many packets are read at a time.
const batchPackets = 512

// newPlayback finds the inputs that the operands name.
func (j *job) newPlayback() (*playback, error) {
	p := &playback{job: j, strict: j.flags.Bool("strict"), opened: map[int]io.ReadCloser{}}
	inputs, failed, err := j.expandOperands(j.operands(), nameFilter{})
	if err != nil {
		return nil, err
	}
	p.inputs, p.named, p.failed = inputs, failed, failed
	if failed > 0 && p.strict {
		return nil, errReported
	}
	return p, p.checkStdin()
}

// checkStdin refuses a terminal before anything else is done.
func (p *playback) checkStdin() error {
	for _, in := range p.inputs {
		if in.path == "-" && isTerminal(p.In) {
			_, err := p.readStdin()
			return err
		}
	}
	return nil
}

// size is how much there is to read, or -1 where that cannot be known.
func (p *playback) size() int64 {
	paths := make([]string, len(p.inputs))
	for i, in := range p.inputs {
		paths[i] = in.path
	}
	return p.totalSize(paths)
}

// checkRewinds says why the inputs cannot be read more than once, if so.
func (p *playback) checkRewinds(flag string) error {
	for _, in := range p.inputs {
		var file any = p.In
		if in.path != "-" {
			opened, err := os.Open(in.path)
			if err != nil {
				continue // said when its turn comes
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
			return usageErrorf("%s reads its input more than once, but %s is no file", flag, in.display()).
				withHint("pcap-merge --loop reads captures from files and folders")
		}
		if in.path == "-" {
			p.start = place
		}
	}
	return nil
}

// rewind goes back to the first input.
func (p *playback) rewind() error {
	p.closeInput()
	p.next, p.section, p.again = 0, nil, true
	for _, in := range p.inputs {
		if in.path == "-" {
			if _, err := p.In.(io.Seeker).Seek(p.start, io.SeekStart); err != nil {
				return namedError(in.path, err)
			}
		}
	}
	return nil
}

// openAhead opens the inputs now, as far as there are descriptors: later, there
// may not be the privilege.
func (p *playback) openAhead() error {
	for i, in := range p.inputs {
		if len(p.opened) >= descriptorLimit()/2 {
			break
		}
		file, err := p.openInput(in.path)
		if err != nil {
			if err := p.inputLost(in, err); err != nil {
				return err
			}
			file = nil
		}
		p.opened[i] = file
	}
	return nil
}

// read gives packets of one section in batch, as soon as there are any, and says
// whether they are its first. It returns io.EOF behind the last input. Damage and
// inputs that cannot be read are said here, and end the run with --strict only.
func (p *playback) read(batch []stream.Packet) (n int, begins bool, err error) {
	for {
		if p.reader == nil {
			if err := p.openNext(); err != nil {
				return 0, false, err
			}
			continue
		}
		n, err := p.reader.Read(batch)
		p.progress.done.Store(p.before + p.position())
		if n > 0 {
			begins := p.section != p.reader.Section()
			p.section = p.reader.Section()
			return n, begins, nil
		}
		if err != nil {
			if err := p.trouble(err); err != nil {
				return 0, false, err
			}
		}
	}
}

// position is how many bytes of this input have been played: as exactly as can be,
// as a small one is read at once, and then played for hours.
func (p *playback) position() int64 {
	if section := p.reader.Section(); section != nil && section.Compression == stream.Uncompressed {
		return p.reader.Offset()
	}
	return p.taken.done.Load()
}

// buffered says whether read will give packets without waiting for the source.
func (p *playback) buffered() bool { return p.reader != nil && p.reader.Buffered() }

// openNext opens the next input. At the end of all it returns io.EOF, or
// errReported if none could be read.
func (p *playback) openNext() error {
	for p.next < len(p.inputs) {
		index := p.next
		p.next++
		in := p.inputs[index]
		file, ahead := p.opened[index]
		if ahead {
			delete(p.opened, index)
		} else {
			var err error
			if file, err = p.openInput(in.path); err != nil {
				if err := p.inputLost(in, err); err != nil {
					return err
				}
			}
		}
		if file != nil {
			p.begin(in, file)
			return nil
		}
	}
	p.sayBystanders()
	if !p.again && p.named > 0 && p.failed == p.named {
		return errReported
	}
	return io.EOF
}

func (p *playback) begin(in input, file io.ReadCloser) {
	if !p.again {
		p.named++
	}
	p.current, p.taken = in, &progress{}
	p.reader = stream.NewReader(&archiveSource{ctx: p.ctx, file: file, progress: p.taken})
	p.closers = []io.Closer{p.reader, file}
}

func (p *playback) closeInput() {
	if p.reader != nil {
		p.before += p.taken.done.Load()
	}
	for _, closer := range p.closers {
		closer.Close()
	}
	p.reader, p.closers = nil, nil
}

// inputLost counts an input that cannot be opened.
func (p *playback) inputLost(in input, err error) error {
	var usage *usageError
	if errors.As(err, &usage) {
		return err
	}
	if !p.again {
		p.named++
		p.failed++
		p.inputFailed(in.path, err)
	}
	return p.strictly()
}

func (p *playback) strictly() error {
	if p.strict {
		return errReported
	}
	return nil
}

// trouble settles what a reader ends or goes on with.
func (p *playback) trouble(err error) error {
	var damage *stream.Damage
	switch {
	case errors.As(err, &damage):
		if !p.again {
			p.damage(p.current.path, "", damage)
		}
		return p.strictly()
	case err == io.EOF:
		p.closeInput()
		return nil
	case p.ctx.Err() != nil:
		return p.ctx.Err()
	}
	readAny := p.reader.Sections() > 0
	p.closeInput()
	switch {
	case p.again:
	case errors.Is(err, stream.ErrNotCapture):
		if !p.notCapture(p.current, err) {
			p.named--
			return nil
		}
		p.failed++
	default:
		p.inputFailed(p.current.path, err)
		if !readAny {
			p.failed++
		}
	}
	return p.strictly()
}

// untilStopped runs work, and waits for it for half the grace when the run is to end:
// a read from a silent pipe, or a write into a full one, cannot be interrupted. The
// other half is for the summary.
func (j *job) untilStopped(work func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- work() }()
	select {
	case err := <-ended:
		return err
	case <-j.ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(signalGrace / 2):
		return context.Cause(j.ctx)
	}
}

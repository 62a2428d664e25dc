package cli

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rivo/uniseg"
	"github.com/schollz/progressbar/v3"
)

// progress is the one line that a tool draws on stderr. Its zero value draws
// nothing.
type progress struct {
	enabled bool
	job     *job
	done    atomic.Int64                         // bytes read
	settled atomic.Pointer[func() (n, of int64)] // of the packets read

	mutex   sync.Mutex               // of the terminal, and of all below
	bar     *progressbar.ProgressBar // nil while nothing is to be drawn
	total   int64
	shown   int64 // bytes
	text    func() string
	isDrawn bool
	isOpen  bool // data on the terminal has begun a line, and not ended it
	stop    chan struct{}
}

// newProgress decides whether to draw: with auto only where stderr is a terminal
// and stdout is no pipe, so that one tool of a pipeline draws, the last.
func newProgress(j *job, mode string) *progress {
	enabled := mode == "always" || mode == "auto" && !j.quiet && isTerminal(j.Err) && os.Getenv("TERM") != "dumb" && !isPipe(j.Out)
	return &progress{enabled: enabled, job: j}
}

// progressInterval is how often the line is drawn anew.
const progressInterval = 500 * time.Millisecond

// start draws from now on: how many bytes of total (-1: unknown) have been read,
// how fast, and how long it has taken and will take. Where the total is unknown
// the counters stand before that. What describe says, if it is not nil, stands in
// the place of bytes.
func (p *progress) start(total int64, describe func() string) {
	if !p.enabled {
		return
	}
	p.finish()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	options := []progressbar.Option{
		progressbar.OptionSetWriter(io.Discard),       // draw fits the line into the terminal
		progressbar.OptionSetSpinnerChangeInterval(0), // nor does anybody else draw
		progressbar.OptionSpinnerType(14),
	}
	if describe == nil {
		options = append(options, progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionSetWidth(20))
	} else {
		options = append(options, progressbar.OptionSetWidth(0), progressbar.OptionSetTheme(progressbar.Theme{}))
	}
	full := total
	if full >= 0 {
		full++ // the library takes a bar away that is full: this one never is
	}
	p.bar, p.total, p.shown, p.text, p.stop = progressbar.NewOptions64(full, options...), total, 0, p.describer(describe), make(chan struct{})
	p.bar.StartWithoutRender()
	go p.keepDrawing(p.stop)
}

// describer gives the words of the line.
func (p *progress) describer(describe func() string) func() string {
	if describe != nil {
		return describe
	}
	return func() string {
		if line := p.job.counters.Load(); line != nil && p.total < 0 {
			return (*line)()
		}
		return p.job.tool.Name
	}
}

func (p *progress) keepDrawing(stop chan struct{}) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			p.draw()
		}
	}
}

// draw puts the line onto the terminal as it is now.
func (p *progress) draw() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.bar == nil || p.isOpen || !inForeground(p.job.Err) {
		return
	}
	p.shown = max(p.shown, p.position())
	_ = p.bar.Set64(p.shown)
	p.bar.Describe(p.text())
	line := strings.TrimSpace(p.bar.String())
	fmt.Fprintf(p.job.Err, "\r%s\x1b[K", cutLine(line, p.columns()-1)) // the last column may wrap
	p.isDrawn = true
}

// position is how many of the bytes are done with. What a tool keeps to give it
// out later has been read, but is not done.
func (p *progress) position() int64 {
	position := p.done.Load()
	if settled := p.settled.Load(); settled != nil {
		if n, of := (*settled)(); n < of {
			position = int64(float64(position) * float64(n) / float64(of))
		}
	}
	if p.total >= 0 {
		position = min(position, p.total)
	}
	return position
}

const defaultColumns = 80

func (p *progress) columns() int {
	if file, ok := p.job.Err.(*os.File); ok {
		if columns, _, ok := terminalSize(file); ok {
			return columns
		}
	}
	return defaultColumns
}

// cutLine keeps what fits into columns.
func cutLine(line string, columns int) string {
	for width, at := 0, uniseg.NewGraphemes(line); at.Next(); {
		if width += at.Width(); width > columns {
			start, _ := at.Positions()
			return line[:start]
		}
	}
	return line
}

// add counts bytes read. It may be called at any time from any goroutine.
func (p *progress) add(bytes int64) { p.done.Add(bytes) }

// holds says that the tool reads packets long before it is done with them. The
// function may be called at any time from another goroutine.
func (p *progress) holds(settled func() (n, of int64)) { p.settled.Store(&settled) }

// over is for what goes to the terminal besides the line, which makes way.
func (p *progress) over(w io.Writer) io.Writer {
	if !p.enabled {
		return w
	}
	return overLine{p, w}
}

type overLine struct {
	*progress
	io.Writer
}

func (o overLine) Write(data []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.erase()
	o.isOpen = len(data) > 0 && !bytes.HasSuffix(data, []byte("\n"))
	return o.Writer.Write(data)
}

// erase takes the line away. The caller holds the mutex.
func (p *progress) erase() {
	if p.isDrawn {
		_, _ = io.WriteString(p.job.Err, "\r\x1b[K")
	}
	p.isDrawn = false
}

// finish takes the line away for good.
func (p *progress) finish() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.bar == nil {
		return
	}
	close(p.stop)
	p.erase()
	p.bar = nil
}

// isPipe says whether a stream is a pipe or a socket: there is a next tool.
func isPipe(stream any) bool { return streamMode(stream)&(fs.ModeNamedPipe|fs.ModeSocket) != 0 }

// streamMode is the mode of a stream that is a file; else 0.
func streamMode(stream any) fs.FileMode {
	file, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	info, err := file.Stat()
	if err != nil {
		return 0
	}
	return info.Mode()
}

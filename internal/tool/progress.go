package tool

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rivo/uniseg"

	"pcap-replay/internal/files"
)

// Progress is the one line that a tool draws on stderr. Its zero value draws nothing, and
// counts.
type Progress struct {
	enabled  bool
	tool     string
	terminal io.Writer                            // stderr
	counters *atomic.Pointer[func() string]       // of the run
	done     atomic.Int64                         // bytes read
	settled  atomic.Pointer[func() (n, of int64)] // of the packets read

	mutex   sync.Mutex    // of the terminal, and of all below
	stop    chan struct{} // nil while nothing is to be drawn
	line    progressLine
	text    func() string
	shown   int64 // bytes
	isDrawn bool
	isOpen  bool // data on the terminal has begun a line, and not ended it
}

// configure decides whether to draw: with auto only where stderr is a terminal and stdout
// is no pipe, so that one tool of a pipeline draws, the last.
func (p *Progress) configure(r *Run, mode string) {
	auto := !r.Flags.Bool("quiet") && IsTerminal(r.err) && os.Getenv("TERM") != "dumb" && !files.IsPipe(r.Out)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.enabled = mode == "always" || mode == "auto" && auto
	p.tool, p.terminal, p.counters = r.tool.Name, r.err, &r.counters
}

// progressInterval is how often the line is drawn anew: often enough to look alive, and
// seldom enough to be read.
const progressInterval = 500 * time.Millisecond

// Start draws from now on: how many bytes of total (-1: unknown) have been read, how fast,
// and how long it has taken and will take. Where the total is unknown, the counters of the
// run stand before that. What describe returns, if it is not nil, stands in the place of
// the bytes.
func (p *Progress) Start(total int64, describe func() string) {
	if !p.enabled {
		return
	}
	p.Finish()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.line = progressLine{total: total, withBytes: describe == nil, started: time.Now()}
	p.shown, p.text, p.stop = 0, p.describer(describe, total), make(chan struct{})
	go p.keepDrawing(p.stop)
}

// describer gives the words of the line.
func (p *Progress) describer(describe func() string, total int64) func() string {
	if describe != nil {
		return describe
	}
	return func() string {
		if line := p.counters.Load(); line != nil && total < 0 {
			return (*line)()
		}
		return p.tool
	}
}

func (p *Progress) keepDrawing(stop chan struct{}) {
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
func (p *Progress) draw() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.stop == nil || p.isOpen || !inForeground(p.terminal) {
		return
	}
	p.shown = max(p.shown, p.position())
	line := p.line.draw(p.text(), p.shown, time.Now())
	fmt.Fprintf(p.terminal, "\r%s\x1b[K", cutLine(line, p.columns()-1)) // the last column may wrap
	p.isDrawn = true
}

// position is how many of the bytes are done with. What a tool keeps to write it later has
// been read, but is not done.
func (p *Progress) position() int64 {
	position := p.done.Load()
	if settled := p.settled.Load(); settled != nil {
		if n, of := (*settled)(); n < of {
			position = int64(float64(position) * float64(n) / float64(of))
		}
	}
	if p.line.total >= 0 {
		position = min(position, p.line.total)
	}
	return position
}

// DefaultColumns is how wide a terminal is taken to be that does not tell.
const DefaultColumns = 80

func (p *Progress) columns() int {
	if columns, _, ok := TerminalSize(p.terminal); ok {
		return columns
	}
	return DefaultColumns
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

// Add counts bytes that were read. It may be called at any time from any goroutine.
func (p *Progress) Add(bytes int64) { p.done.Add(bytes) }

// Set says how many bytes have been read so far.
func (p *Progress) Set(bytes int64) { p.done.Store(bytes) }

// Settled says that the tool reads packets long before it is done with them: n of the
// packets read so far are. The function may be called at any time from another goroutine.
func (p *Progress) Settled(settled func() (n, of int64)) { p.settled.Store(&settled) }

// Over is for what goes to the terminal besides the line, which makes way.
func (p *Progress) Over(w io.Writer) io.Writer {
	if !p.enabled {
		return w
	}
	return overLine{p, w}
}

type overLine struct {
	progress *Progress
	dst      io.Writer
}

func (o overLine) Write(data []byte) (int, error) {
	o.progress.mutex.Lock()
	defer o.progress.mutex.Unlock()
	o.progress.erase()
	o.progress.isOpen = len(data) > 0 && !bytes.HasSuffix(data, []byte("\n"))
	return o.dst.Write(data)
}

// erase takes the line away. The caller holds the mutex.
func (p *Progress) erase() {
	if p.isDrawn {
		_, _ = io.WriteString(p.terminal, "\r\x1b[K")
	}
	p.isDrawn = false
}

// Finish takes the line away for good.
func (p *Progress) Finish() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.erase()
	p.stop = nil
}

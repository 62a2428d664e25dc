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

// Progress is the progress line on stderr. Its zero value only counts.
type Progress struct {
	enabled  bool
	staged   bool // draws stages only: another tool of the pipeline draws the rest
	piped    bool // stdin is a pipe
	tool     string
	terminal io.Writer                            // stderr
	counters *atomic.Pointer[func() string]       // of the run
	done     atomic.Int64                         // bytes read
	settled  atomic.Pointer[func() (n, of int64)] // of the packets read

	mutex   sync.Mutex    // protects the terminal and the following fields
	stop    chan struct{} // nil while nothing is drawn
	line    progressLine
	text    func() string
	stage   string // instead of text; "" without
	shown   int64  // bytes
	isDrawn bool
	isOpen  bool // data on the terminal ends in an incomplete line
}

// configure decides whether to draw. With auto, it draws only if stderr is a terminal. If
// stdout is a pipe, the last tool of the pipeline draws, and this one only its stages.
func (p *Progress) configure(r *Run, mode string) {
	auto := mode == "auto" && !r.Flags.Bool("quiet") && IsTerminal(r.err) && os.Getenv("TERM") != "dumb"
	intoPipe := files.IsPipe(r.Out)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.enabled, p.staged = mode == "always" || auto && !intoPipe, auto && intoPipe
	p.piped = files.IsPipe(r.In)
	p.tool, p.terminal, p.counters = r.tool.Name, r.err, &r.counters
}

// progressInterval is the interval of updates: short enough to look alive, and long enough
// to be read.
const progressInterval = 500 * time.Millisecond

// Start begins to draw: how many bytes of total (-1: unknown) have been read, the rate, the
// time elapsed and the time left. If the total is unknown, the counters of the run come
// first. If describe returns text, it replaces the bytes.
func (p *Progress) Start(total int64, describe func() string) {
	if !p.enabled && !p.staged {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.finish()
	p.line = progressLine{total: total, withBytes: describe == nil, started: time.Now()}
	p.shown, p.text = 0, p.describer(describe, total)
	if p.enabled {
		p.begin()
	}
}

// begin begins to draw. The caller holds the mutex.
func (p *Progress) begin() {
	p.stop = make(chan struct{})
	go p.keepDrawing(p.stop)
}

// Stage says what the tool does before it writes anything, such as reading a tarball. The
// tools after it in the pipeline have nothing to draw in the meantime. An empty text ends
// the stage.
func (p *Progress) Stage(text string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.stage = text
	switch {
	case !p.staged || p.text == nil:
	case text == "":
		p.finish()
	case p.stop == nil:
		p.begin()
	}
}

// describer returns the text of the line.
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

// draw draws the current line.
func (p *Progress) draw() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.stop == nil || p.isOpen || p.waits() || !inForeground(p.terminal) {
		return
	}
	p.shown = max(p.shown, p.position())
	words := p.text()
	if p.stage != "" {
		words = p.tool + ": " + p.stage
	}
	line := p.line.draw(words, p.shown, time.Now())
	fmt.Fprintf(p.terminal, "\r%s\x1b[K", cutLine(line, p.columns()-1)) // a character in the last column may wrap
	p.isDrawn = true
}

// waits reports whether nothing has come through the pipe yet. A tool before it may draw.
func (p *Progress) waits() bool { return p.piped && p.done.Load() == 0 }

// position is the number of bytes that are done. Data that a tool keeps to write it later
// has been read, but is not done.
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

// DefaultColumns is the width of a terminal whose width is unknown.
const DefaultColumns = 80

func (p *Progress) columns() int {
	if columns, _, ok := TerminalSize(p.terminal); ok {
		return columns
	}
	return DefaultColumns
}

// cutLine cuts text to columns. uniseg.Graphemes would link the tables for the breaks of
// lines, words and sentences as well: a quarter of a megabyte.
func cutLine(line string, columns int) string {
	used, rest, state := 0, line, -1
	for rest != "" {
		start, width := len(line)-len(rest), 0
		_, rest, width, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if used += width; used > columns {
			return line[:start]
		}
	}
	return line
}

// Add counts bytes that were read. It is safe for concurrent use.
func (p *Progress) Add(bytes int64) { p.done.Add(bytes) }

// Set sets the number of bytes that have been read so far.
func (p *Progress) Set(bytes int64) { p.done.Store(bytes) }

// Settled is for a tool that reads packets long before it is done with them. It sets a
// function that returns how many packets are done. The function must be safe for concurrent
// use.
func (p *Progress) Settled(settled func() (n, of int64)) { p.settled.Store(&settled) }

// Over runs a function that writes to the terminal, and removes the line before it.
func (p *Progress) Over(w io.Writer) io.Writer {
	if !p.enabled && !p.staged {
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

// erase removes the line. The caller holds the mutex.
func (p *Progress) erase() {
	if p.isDrawn {
		_, _ = io.WriteString(p.terminal, eraseLine)
	}
	p.isDrawn = false
}

// Finish removes the line for good.
func (p *Progress) Finish() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.finish()
}

func (p *Progress) finish() {
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.erase()
	p.stop = nil
}

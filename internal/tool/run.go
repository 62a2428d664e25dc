package tool

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
)

// Run is one run of a tool.
type Run struct {
	Context  context.Context // cancelled by SIGINT, SIGTERM and SIGHUP
	In       io.Reader
	Out      io.Writer
	Flags    *Flags
	Messages *Messages
	Report   *Report
	Progress *Progress
	Claims   *Claims

	ownsProcess bool // [Main] has started it

	tool    *Tool
	started time.Time
	err     io.Writer     // stderr
	drains  atomic.Bool   // the run ends by itself after the first signal
	keeps   atomic.Bool   // outputs are complete after a signal, too
	hurried chan struct{} // closed by the second signal
	hurry   func()        // closes hurried

	counters  atomic.Pointer[func() string]
	summarize atomic.Pointer[func(record.Summary) any]

	mutex    sync.Mutex
	cleanups []func()
	isClean  bool // cleanups have been called
	outputs  []*files.Output
	over     bool // no other output is opened
	// published are the files of PublishFile that have got their names.
	published []record.Output

	publishing sync.Mutex // PublishFile gives names one after another
}

func newRun(tool *Tool, streams Streams) *Run {
	hurried := make(chan struct{})
	return &Run{
		In: streams.In, Out: streams.Out, err: streams.Err, tool: tool, started: time.Now(),
		hurried: hurried, hurry: sync.OnceFunc(func() { close(hurried) }),
		Messages: &Messages{name: tool.Name, erase: lineErasure(streams.Err), dst: streams.Err}, Report: &Report{tool: tool.Name}, Progress: &Progress{}, Claims: &Claims{},
	}
}

// apply puts the common flags into effect.
func (r *Run) apply() error {
	if err := r.Flags.checkValues(); err != nil {
		return err
	}
	mode, err := r.Flags.OneOf("progress", ProgressModes)
	if err != nil {
		return err
	}
	r.Progress.configure(r, mode)
	r.Messages.configure(r.Flags.Bool("quiet"), r.Flags.Bool("verbose"), r.Progress.Over(r.err))
	if err := r.claimOutputs(); err != nil {
		return err
	}
	if name := r.Flags.String("report"); name != "" {
		if err := r.Report.open(name, r); err != nil {
			return err
		}
	}
	r.Claims.find()
	return nil
}

// OwnsProcess reports whether the process does nothing but this run, so that the run may
// give up the privileges of the process. It is false in tests, which start programs later.
func (r *Run) OwnsProcess() bool { return r.ownsProcess }

// Name is the name of the tool.
func (r *Run) Name() string { return r.tool.Name }

// Terminal is the size of the terminal that messages go to; ok is false for other files.
func (r *Run) Terminal() (columns, lines int, ok bool) { return TerminalSize(r.err) }

// Elapsed is how long the run has taken so far.
func (r *Run) Elapsed() time.Duration { return time.Since(r.started) }

// Drain lets the run end by itself after the first signal, however long that takes. The
// second signal gives it up.
func (r *Run) Drain() { r.drains.Store(true) }

// KeepOutputs makes a signal an ordinary end of this run: its outputs are complete if its
// function returns nil.
func (r *Run) KeepOutputs() { r.keeps.Store(true) }

// SetCounters sets the text that SIGUSR1 and the progress line show. line may be called at
// any time from another goroutine.
func (r *Run) SetCounters(line func() string) { r.counters.Store(&line) }

func (r *Run) printCounters() {
	if line := r.counters.Load(); line != nil {
		r.Messages.Say((*line)())
	}
}

// SetSummary sets the function that makes the summary: head, and the counters of the tool.
// It is called once, when the run has ended, or while it still blocks and is given up.
func (r *Run) SetSummary(summarize func(head record.Summary) any) { r.summarize.Store(&summarize) }

// OnEnd calls clean when the run ends, however it ends. The last one is called first. After
// the end, OnEnd calls clean at once, because a run that was given up may still be running.
func (r *Run) OnEnd(clean func()) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.isClean {
		clean()
		return
	}
	r.cleanups = append(r.cleanups, clean)
}

func (r *Run) cleanUp() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	r.cleanups, r.isClean = nil, true
}

// moved is the number of bytes that were read and written.
func (r *Run) moved() int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	moved := r.Progress.done.Load()
	for _, out := range r.outputs {
		moved += out.Written()
	}
	return moved
}

package tool

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
)

// grace is the time without any byte read or written after which the runner gives up a run
// that was told to stop. A read from a silent pipe never ends.
const grace = time.Second

// settlingTime is how long a run that is given up may take to notice that its outputs accept
// no more data. A run that does not wait for a stream ends within microseconds.
const settlingTime = 100 * time.Millisecond

// wait waits for the end of the run. After a signal it waits as long as bytes move, and
// after a second one it gives the run up.
func (r *Run) wait(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-r.Context.Done():
	}
	var tick <-chan time.Time
	if !r.drains.Load() {
		ticker := time.NewTicker(grace / 20)
		defer ticker.Stop()
		tick = ticker.C
	}
	for moved, since := r.moved(), time.Now(); ; {
		select {
		case err := <-ended:
			return err
		case <-r.hurried:
			return r.giveUp(ended)
		case <-tick:
			if now := r.moved(); now != moved {
				moved, since = now, time.Now()
			} else if time.Since(since) >= grace {
				return r.giveUp(ended)
			}
		}
	}
}

// giveUp ends a run that does not end by itself. Its outputs accept no more data, so its
// counters change only until it notices that.
func (r *Run) giveUp(ended <-chan error) error {
	for _, out := range r.takeOutputs() {
		out.Shut()
	}
	select {
	case err := <-ended:
		if err == nil { // it has returned nil although an output refused its data
			err = context.Cause(r.Context)
		}
		return err
	case <-time.After(settlingTime):
		return context.Cause(r.Context)
	}
}

// takeOutputs returns the outputs of the run, which cannot open others from now on.
func (r *Run) takeOutputs() []*files.Output {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.over = true
	return r.outputs
}

// end gives outputs their names, tells the result of the run, cleans up and returns the exit
// code. A signal that comes from now on changes no output.
func (r *Run) end(err error) int {
	cause := context.Cause(r.Context)
	if err == nil && r.Messages.isUnheard() {
		err = files.Named("stderr", errClosed)
	}
	err = r.settle(err, cause)
	code := r.tell(err, cause)
	r.cleanUp()
	return code
}

// tell writes the summary and the last message, and returns the exit code. These writes never
// end if nobody reads the report or stderr, so tell does not wait for them for long after a
// signal.
func (r *Run) tell(err, cause error) int {
	told := make(chan int, 1)
	go func() { told <- r.conclude(err, r.exitCode(err, cause)) }()
	stopped, hurried := r.Context.Done(), r.hurried
	var givenUp <-chan time.Time
	for {
		select {
		case code := <-told:
			return code
		case <-stopped:
			stopped, givenUp = nil, time.After(grace)
		case <-hurried:
			stopped, hurried, givenUp = nil, nil, time.After(settlingTime)
		case <-givenUp:
			return r.exitCode(err, context.Cause(r.Context))
		}
	}
}

// conclude writes the summary and the last message. If the report or stderr did not accept
// them, the exit code becomes that of a failed run.
func (r *Run) conclude(err error, code int) int {
	if errors.Is(err, ErrAlsoInput) {
		r.Report.discard()
	}
	r.writeSummary(code)
	var signalled signalError
	switch {
	case err == nil, errors.Is(err, ErrReported):
	case errors.Is(err, syscall.EPIPE): // the reader has gone
	case code > 128 && (errors.Is(err, context.Canceled) || errors.As(err, &signalled)):
	default:
		r.Messages.fail(err)
	}
	r.Progress.Finish()
	failed := r.Report.close()
	if failed != nil {
		r.Messages.Errorf("report: %w", failed)
	}
	if failed != nil || r.Messages.isUnheard() {
		if code == ExitDone || code == ExitDamaged {
			code = ExitFailed
		}
	}
	return code
}

// settle gives the outputs of a whole run their names, and removes those of any other run. It
// returns the error of the run, if there is one.
func (r *Run) settle(err, cause error) error {
	outputs := r.takeOutputs()
	if isWhole(err) && (cause == nil || r.keeps.Load()) {
		if failed := publish(outputs); failed != nil {
			err = failed
		}
	}
	for _, out := range outputs {
		out.Abandon()
	}
	return err
}

// isWhole reports whether a run that returned err has done all its work. If err has its own
// exit code, the work is done, and the code is the verdict.
func isWhole(err error) bool {
	var verdict *exitError
	return err == nil || errors.As(err, &verdict)
}

// publish gives all outputs their names, or none if one of them cannot be closed.
func publish(outputs []*files.Output) error {
	for _, out := range outputs {
		if err := out.Finish(); err != nil {
			return err
		}
	}
	for _, out := range outputs {
		if err := out.Publish(); err != nil {
			return err
		}
	}
	return nil
}

// PublishFile calls publish to give a file its name while the run continues. The file is
// complete in itself, such as a member or an index. After a signal, publish is not called.
func (r *Run) PublishFile(publish func() error) error {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	if err := context.Cause(r.Context); err != nil {
		return err
	}
	return publish()
}

// ListPublished adds a file that PublishFile has given its name to the outputs in the
// summary.
func (r *Run) ListPublished(path string, bytes int64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.published = append(r.published, record.Output{Path: path, PathRaw: record.RawName(path), Bytes: bytes, Complete: true})
}

// writeSummary ends the report.
func (r *Run) writeSummary(code int) {
	head := record.Summary{
		Event: "summary", Tool: r.tool.Name, Exit: code, Seconds: r.Elapsed().Seconds(), Outputs: r.outputRecords(),
	}
	if summarize := r.summarize.Load(); summarize != nil {
		r.Report.End((*summarize)(head))
	} else {
		r.Report.End(head)
	}
}

// outputRecords are the records of the outputs in the summary.
func (r *Run) outputRecords() []record.Output {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	records := slices.Clone(r.published)
	for _, out := range r.outputs {
		records = append(records, record.Output{
			Path: out.Path(), PathRaw: record.RawName(out.Path()), Bytes: out.Written(), Complete: out.IsComplete(),
		})
	}
	return records
}

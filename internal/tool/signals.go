package tool

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// signalError is the cause of the cancellation if a signal ends the run.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return e.signal.String() }

// catchSignals cancels the run on the first signal that ends a process. The second signal
// gives the run up, and the third one kills the process. SIGHUP counts once, because a
// terminal that is closed sends several. countersSignals print the counters.
func (r *Run) catchSignals(cancel context.CancelCauseFunc) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, slices.Concat(countersSignals, askingSignals)...)
	for _, s := range endingSignals {
		if !signal.Ignored(s) { // nohup(1) ignores SIGHUP
			signal.Notify(signals, s)
		}
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				if slices.Contains(countersSignals, s) {
					r.printCounters()
					continue
				}
				r.stop(s.(syscall.Signal), cancel)
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}

// stop ends the run by a signal. Only the goroutine of catchSignals calls it.
func (r *Run) stop(s syscall.Signal, cancel context.CancelCauseFunc) {
	if s == syscall.SIGABRT || s == syscall.SIGQUIT && r.Messages.isVerbose() {
		r.Messages.dumpGoroutines()
	}
	switch {
	case r.Context.Err() == nil:
		cancel(signalError{s})
	case s != syscall.SIGHUP:
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
		r.hurry()
	}
}

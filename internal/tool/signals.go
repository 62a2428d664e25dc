package tool

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signalError is the cause of the cancellation if a signal ends the run.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return e.signal.String() }

// catchSignals cancels the run on the first signal that ends a process. The second signal
// gives the run up, and the third one kills the process. SIGHUP counts once, because a
// terminal that is closed sends several. countersSignals print the counters, in a goroutine of
// their own, because stderr may not accept them.
func (r *Run) catchSignals(cancel context.CancelCauseFunc) (stop func()) {
	ending, counting := make(chan os.Signal, 4), make(chan os.Signal, 1)
	signal.Notify(ending, askingSignals...)
	for _, s := range endingSignals {
		if !signal.Ignored(s) { // nohup(1) ignores SIGHUP
			signal.Notify(ending, s)
		}
	}
	if len(countersSignals) > 0 { // Notify without signals would mean all of them
		signal.Notify(counting, countersSignals...)
	}
	done := make(chan struct{})
	each := func(signals <-chan os.Signal, act func(os.Signal)) {
		for {
			select {
			case <-done:
				return
			case s := <-signals:
				act(s)
			}
		}
	}
	go each(ending, func(s os.Signal) { r.stop(s.(syscall.Signal), cancel) })
	go each(counting, func(os.Signal) { r.printCounters() })
	return func() { signal.Stop(ending); signal.Stop(counting); close(done) }
}

// stop ends the run by a signal. Only the goroutine of catchSignals calls it.
func (r *Run) stop(s syscall.Signal, cancel context.CancelCauseFunc) {
	if s == syscall.SIGABRT || s == syscall.SIGQUIT && r.Messages.isVerbose() {
		dumped := make(chan struct{})
		go func() { r.Messages.dumpGoroutines(); close(dumped) }()
		select {
		case <-dumped:
		case <-time.After(grace): // stderr does not accept it
		}
	}
	switch {
	case r.Context.Err() == nil:
		cancel(signalError{s})
	case s != syscall.SIGHUP:
		signal.Reset(syscall.SIGINT, syscall.SIGTERM)
		r.hurry()
	}
}

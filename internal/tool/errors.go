package tool

import (
	"errors"
	"fmt"
	"syscall"
)

// Exit codes. A run that a signal ends exits with 128 and the number of the signal.
const (
	ExitDone    = 0
	ExitFailed  = 1
	ExitUsage   = 2
	ExitDamaged = 3 // done, but some input was damaged or some packets could not be sent
	ExitLate    = 4 // pcap-inject --fail-late
)

// ErrReported ends a run whose errors have all been printed.
var ErrReported = errors.New("failed")

// UsageError is a mistake of the user: exit code 2, before anything is read or written.
type UsageError struct {
	err  error
	hint string
}

// UsageErrorf returns a UsageError, like fmt.Errorf.
func UsageErrorf(format string, values ...any) *UsageError {
	return &UsageError{err: fmt.Errorf(format, values...)}
}

// WithHint adds a hint: what to do next.
func (e *UsageError) WithHint(hint string) *UsageError { e.hint = hint; return e }
func (e *UsageError) Error() string                    { return e.err.Error() }
func (e *UsageError) Unwrap() error                    { return e.err }

// Hint returns its own hint, or that of the error in it.
func (e *UsageError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return hintOf(e.err)
}

// hintOf returns the hint of an error, or "". Errors of engines may have one, too.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// IsUsage reports whether an error is a mistake of the user.
func IsUsage(err error) bool {
	var usage *UsageError
	return errors.As(err, &usage)
}

// hintError is an error with a hint: what to do next.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }
func (e *hintError) Hint() string  { return e.hint }

// WithHint adds a hint to an error: what to do next.
func WithHint(err error, hint string) error { return &hintError{err, hint} }

// exitError is an error with its own exit code.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

// WithExitCode gives an error the exit code of a run that it ends.
func WithExitCode(err error, code int) error { return &exitError{err, code} }

// exitCode is the exit code of a run that ended with err. cause is the reason why it was
// told to end, if it was.
func (r *Run) exitCode(err, cause error) int {
	var signalled signalError
	var coded *exitError
	switch {
	case errors.As(cause, &signalled):
		return 128 + int(signalled.signal)
	case err == nil && r.Messages.HaveErrors():
		return ExitDamaged
	case err == nil:
		return ExitDone
	case IsUsage(err):
		return ExitUsage
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, syscall.EPIPE):
		return 128 + int(syscall.SIGPIPE) // like a filter that SIGPIPE ends
	}
	return ExitFailed
}

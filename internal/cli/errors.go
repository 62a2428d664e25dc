package cli

import (
	"errors"
	"fmt"
)

var (
	// errReported ends a run whose errors have all been printed: exit 1.
	errReported = errors.New("failed")
	// errLate is what --fail-late ends with: exit 4.
	errLate = errors.New("too late")
)

// usageError is the user's mistake: exit 2, before anything is read or written.
type usageError struct {
	err  error
	hint string
}

func usageErrorf(format string, values ...any) *usageError {
	return &usageError{err: fmt.Errorf(format, values...)}
}

func (e *usageError) withHint(hint string) *usageError { e.hint = hint; return e }
func (e *usageError) Error() string                    { return e.err.Error() }
func (e *usageError) Unwrap() error                    { return e.err }

// hintError is a failure with the next thing to do.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// withHint adds the next thing to do to a failure.
func withHint(err error, hint string) error { return &hintError{err, hint} }

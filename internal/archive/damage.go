package archive

import (
	"errors"
	"fmt"

	"pcap-replay/internal/plural"
)

// ErrNotArchive means that no header of a member was found.
var ErrNotArchive = errors.New("not a tarball")

// ErrCapture is the ErrNotArchive of a capture.
var ErrCapture = fmt.Errorf("%w but a capture", ErrNotArchive)

// Damage is a damaged place in a tarball. Everything that can be read before it has been
// returned. Next continues after it.
type Damage struct {
	// Offset is where the damage begins in bytes of the uncompressed tarball.
	Offset int64
	// Lost is the number of bytes of the uncompressed tarball that are lost, as far as it
	// is known.
	Lost int64
	// Member is the number of the member at which the damage was found, counted from 1.
	Member int64
	// Truncated means that the tarball ends here, too early.
	Truncated bool
	// Reason says what is wrong.
	Reason string
	// Err is the error of the decompressor or of archive/tar, or nil.
	Err error
}

func (d *Damage) Error() string {
	lost := ""
	if d.Lost > 0 {
		lost = " (" + plural.Of(d.Lost, "byte") + " lost)"
	}
	return fmt.Sprintf("offset %d: %s%s", d.Offset, d.Reason, lost)
}

func (d *Damage) Unwrap() error { return d.Err }

// TrailingError means that data follows the end of the tarball. Everything before it is
// intact.
type TrailingError struct {
	// Offset is where this data begins in the uncompressed tarball.
	Offset int64
	// Archive means that it is another tarball: see [Reader.IgnoreZeros].
	Archive bool
}

func (e *TrailingError) Error() string {
	what := "something that is no tarball"
	if e.Archive {
		what = "another tarball"
	}
	return fmt.Sprintf("offset %d: %s follows the end marker", e.Offset, what)
}

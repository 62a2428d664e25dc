package archive

import (
	"errors"
	"fmt"
)

// ErrNotArchive says that there is no member's header anywhere.
var ErrNotArchive = errors.New("not a tarball")

// Damage is a broken place in a tarball. What can be read before it has been
// given out; Next goes on behind it.
type Damage struct {
	// Offset is where the damage begins in bytes of the uncompressed tarball.
	Offset int64
	// Lost is how many bytes of the uncompressed tarball were given up, as far as
	// that can be known.
	Lost int64
	// Member is the number of the member at which it was found, from 1.
	Member int64
	// Truncated says that the tarball ended there, too early.
	Truncated bool
	// Reason says what is wrong.
	Reason string
	// Err is what decompression or archive/tar said, or nil.
	Err error
}

func (d *Damage) Error() string {
	lost := ""
	if d.Lost > 0 {
		lost = fmt.Sprintf(" (%d bytes lost)", d.Lost)
	}
	return fmt.Sprintf("offset %d: %s%s", d.Offset, d.Reason, lost)
}

func (d *Damage) Unwrap() error { return d.Err }

// TrailingError says that something follows the end of the tarball. All before
// it was sound.
type TrailingError struct {
	// Offset is where it begins in the uncompressed tarball.
	Offset int64
	// Archive says that it is another tarball: see [Reader.IgnoreZeros].
	Archive bool
}

func (e *TrailingError) Error() string {
	what := "something that is no tarball"
	if e.Archive {
		what = "another tarball"
	}
	return fmt.Sprintf("offset %d: %s follows the end marker", e.Offset, what)
}

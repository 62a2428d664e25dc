package stream

import (
	"errors"
	"fmt"
)

// ErrNotCapture says that a stream does not begin as a capture does, or ends
// inside its first file header. Nothing can be read from it.
var ErrNotCapture = errors.New("not a capture")

// Damage is a broken place in a stream. The Reader returns it once all packets
// before it are out, and goes on behind it.
type Damage struct {
	// Offset is where the damage begins in bytes from the start of the stream,
	// after decompression.
	Offset int64
	// Lost is how many bytes were given up, after decompression.
	Lost int64
	// Record is the number of the packet record at which the damage was found,
	// counted from 1 over the whole stream.
	Record int64
	// Truncated says that the stream ended there, too early.
	Truncated bool
	// Reason says what is wrong, with the numbers.
	Reason string
}

func (d *Damage) Error() string {
	lost := ""
	if d.Lost > 0 {
		lost = fmt.Sprintf(" (%d bytes lost)", d.Lost)
	}
	return fmt.Sprintf("offset %d: record %d: %s%s", d.Offset, d.Record, d.Reason, lost)
}

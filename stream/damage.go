package stream

import (
	"errors"
	"fmt"

	"pcap-replay/internal/plural"
)

// ErrNotCapture reports a stream that does not begin with a capture file header,
// or that ends inside its first one. No packet can be read from it.
var ErrNotCapture = errors.New("not a capture")

// Damage is an error that reports a damaged part of a stream. [Reader.Read]
// returns it after all packets before it, and the next Read continues after it.
type Damage struct {
	// Offset is where the damage begins, in bytes from the start of the stream
	// after decompression.
	Offset int64
	// Lost is how many bytes were skipped, after decompression.
	Lost int64
	// Record is the number of the packet record where the damage was found. The
	// first record of the stream is 1.
	Record int64
	// Truncated is true if the stream ended too early.
	Truncated bool
	// Reason describes the problem, with the numbers.
	Reason string
}

// Error returns the offset, the record, the reason and the bytes lost.
func (d *Damage) Error() string {
	lost := ""
	if d.Lost > 0 {
		lost = " (" + plural.Of(d.Lost, "byte") + " lost)"
	}
	return fmt.Sprintf("offset %d: record %d: %s%s", d.Offset, d.Record, d.Reason, lost)
}

// Package merge puts captures into one order of time: files that are opened when
// their time comes, and runs that came in on a stream.
//
// # The order of one input
//
// A packet may be earlier than one before it in its input. If the latest time before it
// is at most the window later, the packet is sorted. If it is further behind, it is too
// late: the clock of the capture has stepped back, or a timestamp is wrong. A packet that
// is too late stays where it stands. Every packet before it in the input goes out before
// it, and every packet behind it in the input goes out behind it. From there on, the
// latest time is counted anew, beginning with the time of that packet. So the packets
// behind a step of the clock are sorted among themselves.
//
// Two packets of an input change places only if the second one is earlier. So an input
// that is in order, except where its clock steps back by more than the window, keeps its
// order, as it does with mergecap.
//
// # The order of several inputs
//
// Of the packets that are next in their input, the earliest goes out. Of equal ones, that
// of the first input goes out.
package merge

import (
	"errors"
	"fmt"
	"math"

	"pcap-replay/stream"
)

// Reader gives the packets of one input, a batch at a time. The batch and its data
// are valid until the next call. The error, which may come beside packets, is
// [io.EOF] at the end; a [*stream.Damage], behind which the next call goes on; or
// one that ends the input.
type Reader interface {
	Next() ([]stream.Packet, error)
	Close() error
}

// isDamage says that an input goes on behind an error.
func isDamage(err error) bool {
	_, ok := errors.AsType[*stream.Damage](err)
	return ok
}

// Input is one capture to be merged.
type Input struct {
	// Path names it, in Archive if that is set.
	Path, Archive string
	// Start is when it has to be open: none of its packets comes earlier, except
	// behind one that is too late. In nanoseconds since the Unix epoch.
	Start int64
	// End is when it can be closed: none of its packets comes later. It is
	// math.MaxInt64 where that is not known.
	End int64
	// LinkType is that of its first packet, where HasLinkType says so.
	LinkType    stream.LinkType
	HasLinkType bool
	// Open begins to read it, in blocks of about blockSize bytes. Its packets come in
	// the order of one input, as the package comment has it.
	Open func(blockSize int) (Reader, error)
}

// LinkTypesError says that two inputs do not fit into one pcap.
type LinkTypesError struct {
	Input, OtherInput *Input
	First, Other      stream.LinkType
}

func (e *LinkTypesError) Error() string {
	return fmt.Sprintf("%s has link type %s, %s has %s: a pcap holds only one link type", e.Input, e.First, e.OtherInput, e.Other)
}

// String is the name for messages.
func (i *Input) String() string {
	if i.Archive != "" {
		return streamName(i.Archive) + ": " + i.Path
	}
	return streamName(i.Path)
}

func streamName(path string) string {
	if path == "-" {
		return "stdin"
	}
	return path
}

// linkTypes holds the inputs to one link type.
type linkTypes struct {
	first *Input
	known stream.LinkType
}

func (l *linkTypes) check(input *Input, linkType stream.LinkType) error {
	if l.first == nil {
		l.first, l.known = input, linkType
	}
	if linkType != l.known {
		return &LinkTypesError{l.first, input, l.known, linkType}
	}
	return nil
}

// after adds a duration to a time; neither wraps round.
func after(time, duration int64) int64 {
	if sum := time + duration; sum >= time {
		return sum
	}
	return math.MaxInt64
}

// before takes a duration from a time.
func before(time, duration int64) int64 {
	if difference := time - duration; difference <= time {
		return difference
	}
	return math.MinInt64
}

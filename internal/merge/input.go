// Package merge merges captures in the order of time: files, which are opened when their
// first packet is due, and runs, which were read from a stream.
//
// # The order of one input
//
// A packet may be earlier than one before it in its input. If the latest time before it
// is at most the window later, the packet is sorted. If it is further after, it is too
// late: the clock of the capture has stepped back, or a timestamp is wrong. A packet that
// is too late keeps its place. Every packet before it in the input is returned before it,
// and every packet after it in the input is returned after it. From there on, the latest
// time is counted anew, beginning with the time of that packet. So the packets after a step
// of the clock are sorted among themselves.
//
// Two packets of an input change places only if the second one is earlier. So an input
// that is in order, except where its clock steps back by more than the window, keeps its
// order, as it does with mergecap.
//
// # The order of several inputs
//
// Of the packets that are next in their input, the earliest is returned. If several have
// this time, that of the first input is returned.
package merge

import (
	"errors"
	"fmt"
	"math"

	"pcap-replay/stream"
)

// Reader reads the packets of one input, a batch at a time. The batch and its data are valid
// until the next call. The error may come together with packets. It is [io.EOF] at the end,
// a [*stream.Damage], after which the next call continues, or an error that ends the input.
type Reader interface {
	Next() ([]stream.Packet, error)
	Close() error
}

// isDamage reports whether an input continues after an error.
func isDamage(err error) bool {
	_, ok := errors.AsType[*stream.Damage](err)
	return ok
}

// Input is one capture to be merged.
type Input struct {
	// Path is its path, below Archive if that is set.
	Path, Archive string
	// Start is the time at which it has to be open, in nanoseconds since the Unix epoch.
	// None of its packets is earlier, except after one that is too late.
	Start int64
	// End is the time at which it can be closed: none of its packets is later. It is
	// math.MaxInt64 if unknown.
	End int64
	// First is the time of the first packet in the input. It is math.MinInt64 if unknown.
	First int64
	// Shift is by how much ShiftAll moves the packets, in nanoseconds.
	Shift int64
	// LinkType is the link type of its first packet, if HasLinkType is set.
	LinkType    stream.LinkType
	HasLinkType bool
	// Open opens it for reading in blocks of about blockSize bytes. Its packets come in
	// the order of one input: see the package comment.
	Open func(blockSize int) (Reader, error)
}

// LinkTypesError means that two inputs do not fit into one pcap.
type LinkTypesError struct {
	Input, OtherInput *Input
	First, Other      stream.LinkType
}

func (e *LinkTypesError) Error() string {
	if name := e.Input.String(); name == e.OtherInput.String() {
		return fmt.Sprintf("%s has packets of link types %s and %s: a pcap holds only one link type", name, e.First, e.Other)
	}
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

// linkTypes checks that all inputs have one link type.
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

// after adds a duration to a time, without overflow.
func after(time, duration int64) int64 {
	if sum := time + duration; sum >= time {
		return sum
	}
	return math.MaxInt64
}

// before subtracts a duration from a time, without overflow.
func before(time, duration int64) int64 {
	if difference := time - duration; difference <= time {
		return difference
	}
	return math.MinInt64
}

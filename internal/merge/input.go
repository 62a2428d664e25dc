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

// Input is one capture to be merged. It is small, because there may be very many.
type Input struct {
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

	moved        int64 // by how much ShiftAll has moved the packets
	uncompressed bool  // as in Contents
	number       int32 // in its origin
	disorder     int64 // as in Contents
	origin       *Origin
}

// Origin is where one input or many come from.
type Origin struct {
	archive string
	path    func(number int) string // of an input, below archive if that is set
	// open opens an input for reading in blocks of about blockSize bytes. Its packets come in
	// the order of one input: see the package comment.
	open func(in *Input, blockSize int) (Reader, error)
}

// newOrigin is the origin of one input.
func newOrigin(path, archive string, open func(in *Input, blockSize int) (Reader, error)) *Origin {
	return &Origin{archive: archive, path: func(int) string { return path }, open: open}
}

// Path is the path of an input, below Archive if that is not empty.
func (i *Input) Path() string { return i.origin.path(int(i.number)) }

// Archive is the tarball that the input is a member of, or "".
func (i *Input) Archive() string { return i.origin.archive }

// open opens an input, and moves its packets.
func (i *Input) open(blockSize int) (Reader, error) {
	src, err := i.origin.open(i, blockSize)
	if err != nil || i.moved == 0 {
		return src, err
	}
	return &shiftedReader{src: src, by: i.moved}, nil
}

// inputSlab is memory for inputs. Each allocation would take more, and the memory of many is
// free again when none of them is used any more.
type inputSlab []Input

const inputsInSlab = 256

func (s *inputSlab) new() *Input {
	if len(*s) == 0 {
		*s = make([]Input, inputsInSlab)
	}
	in := &(*s)[0]
	*s = (*s)[1:]
	return in
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
	if i.Archive() != "" {
		return streamName(i.Archive()) + ": " + i.Path()
	}
	return streamName(i.Path())
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

package merge

import (
	"fmt"
	"math"
	"time"

	"pcap-replay/stream"
)

// ShiftError is the error of a time that a shift moves out of the range of times, which is
// 1677 to 2262.
type ShiftError struct {
	Time  int64 // nanoseconds since the Unix epoch
	Shift int64 // nanoseconds
}

func (e *ShiftError) Error() string {
	return fmt.Sprintf("a shift of %.9f s moves the packet of %s outside 1677 to 2262", float64(e.Shift)/1e9, time.Unix(0, e.Time).UTC().Format(time.RFC3339Nano))
}

// ShiftAll moves each input by its Shift. With align, all inputs begin at the same moment
// before that: the first packet of each is moved to the earliest first packet of all. The
// inputs must not have been merged before.
func ShiftAll(inputs []*Input, align bool) error {
	target := int64(math.MaxInt64)
	for _, input := range inputs {
		if input.First != math.MinInt64 {
			target = min(target, input.First)
		}
	}
	for _, input := range inputs {
		by := input.Shift
		if align && input.First != math.MinInt64 {
			// The target is not after the first packet, so the difference overflows only
			// below.
			distance := target - input.First
			by += distance
			if distance > 0 || (by >= input.Shift) != (distance >= 0) {
				return fmt.Errorf("%s: %w", input, &ShiftError{Time: input.First, Shift: math.MinInt64})
			}
		}
		if by == 0 {
			continue
		}
		if err := input.move(by); err != nil {
			return fmt.Errorf("%s: %w", input, err)
		}
	}
	return nil
}

// move moves all packets of an input.
func (i *Input) move(by int64) error {
	for _, moment := range []*int64{&i.Start, &i.First, &i.End} {
		if *moment == math.MinInt64 || *moment == math.MaxInt64 {
			continue // not known
		}
		moved, ok := shift(*moment, by)
		if !ok && moment == &i.First {
			return &ShiftError{Time: *moment, Shift: by}
		}
		if !ok { // the range of all packets may have a wrong time
			moved = math.MaxInt64
			if by < 0 {
				moved = math.MinInt64
			}
		}
		*moment = moved
	}
	i.moved += by
	return nil
}

// shift adds a duration to a time. ok is false if the sum is not a time.
func shift(moment, by int64) (moved int64, ok bool) {
	moved = moment + by
	return moved, (moved >= moment) == (by >= 0)
}

// shiftedReader moves the packets of an input.
type shiftedReader struct {
	src     Reader
	by      int64
	packets []stream.Packet // of the batch, copied: src may give them again in another round
}

// Next implements Reader. A packet whose time cannot be moved ends the input.
func (r *shiftedReader) Next() ([]stream.Packet, error) {
	batch, err := r.src.Next()
	r.packets = append(r.packets[:0], batch...)
	for i := range r.packets {
		moved, ok := shift(r.packets[i].Time, r.by)
		if !ok {
			return r.packets[:i], &ShiftError{Time: r.packets[i].Time, Shift: r.by}
		}
		r.packets[i].Time = moved
	}
	return r.packets, err
}

// Close implements Reader.
func (r *shiftedReader) Close() error { return r.src.Close() }

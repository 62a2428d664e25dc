package merge

import (
	"context"
	"errors"
	"math"
	"testing"

	"pcap-replay/stream"
)

func spanning(name string, start, end int64, closed *int, steps ...fakeStep) *Input {
	input := fakeInput(name, start, closed, steps...)
	input.End = end
	return input
}

// Inputs that do not overlap are not folded, however many there are.
func TestFoldLeavesWhatFits(t *testing.T) {
	closed := 0
	var inputs []*Input
	for i := range int64(100) {
		inputs = append(inputs, spanning("a", 10*i, 10*i+15, &closed))
	}
	runs := NewRuns(1<<20, t.TempDir(), 0, false)
	defer runs.Close()
	if got, err := runs.Fold(t.Context(), inputs, 2, Options{}); err != nil || len(got) != 100 || closed != 0 {
		t.Errorf("%d inputs, error %v, %d were read", len(got), err, closed)
	}
	for _, input := range inputs {
		input.End = math.MaxInt64
	}
	if got, err := runs.Fold(t.Context(), inputs, 30, Options{}); err != nil || len(got) != 0 || closed != 100 {
		t.Errorf("%d inputs of 100 that are empty, error %v, %d were read", len(got), err, closed)
	}
}

// An error of an input is reported when it is folded, and the other inputs are read.
func TestFoldTellsTrouble(t *testing.T) {
	closed, told := 0, 0
	cause := errors.New("cause")
	inputs := []*Input{
		spanning("a", 0, 9, &closed, fakeStep{at(1, 3), nil}),
		spanning("b", 0, 9, &closed, fakeStep{at(2), cause}),
		spanning("c", 0, 9, &closed, fakeStep{at(0, 4), nil}),
	}
	runs := NewRuns(0, t.TempDir(), 0, false)
	defer runs.Close()
	options := Options{Trouble: func(input *Input, err error) error {
		if told++; input.Path() != "b" || err != cause {
			t.Errorf("%s: %v", input, err)
		}
		return nil
	}}
	folded, err := runs.Fold(t.Context(), inputs, 2, options)
	if err != nil || len(folded) != 2 || told != 1 || closed != 3 {
		t.Fatalf("%d inputs, error %v, told %d times, %d were read", len(folded), err, told, closed)
	}
	if held := runs.Held(); held != 5 {
		t.Errorf("%d packets held, wanted 5", held)
	}
	got, late := mergeAll(t, folded)
	if held := runs.Held(); held != 0 {
		t.Errorf("%d packets held behind the merge, wanted 0", held)
	}
	wantSame(t, got, at(0, 1, 2, 3, 4))
	if late != 0 || runs.Spilled() == 0 {
		t.Errorf("%d late, %d bytes spilled", late, runs.Spilled())
	}
}

func TestFoldEnds(t *testing.T) {
	closed := 0
	inputs := func() []*Input {
		second := spanning("b", 0, 9, &closed, fakeStep{at(2), nil})
		second.LinkType, second.HasLinkType = stream.LinkTypeRaw, true
		first := spanning("a", 0, 9, &closed, fakeStep{at(1), nil})
		first.LinkType, first.HasLinkType = stream.LinkTypeEthernet, true
		return []*Input{first, second}
	}
	runs := NewRuns(0, t.TempDir(), 0, false)
	defer runs.Close()
	var linkTypes *LinkTypesError
	if _, err := runs.Fold(t.Context(), inputs(), 1, Options{Trouble: strict}); !errors.As(err, &linkTypes) || linkTypes.OtherInput.Path() != "b" {
		t.Errorf("inputs of two link types: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runs.Fold(ctx, inputs(), 1, Options{Mixed: true, Trouble: strict}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, wanted one of the context", err)
	}
}

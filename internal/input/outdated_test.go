package input

import (
	"math"
	"testing"

	"pcap-replay/internal/archive"
)

func TestRecordsAreComparedWithCaptures(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	type result struct{ differs, grown bool }
	of := func(o *Outdated) result { return result{o != nil, o != nil && o.Grown} }
	for _, test := range []struct {
		recorded *int64
		size     int64
		want     result
	}{
		{nil, 5, result{}}, {number(5), 5, result{}}, {number(0), 0, result{}},
		{number(5), 4, result{true, false}}, {number(5), 6, result{true, true}}, {number(0), 1, result{true, true}},
	} {
		if got := of((&Selected{Size: test.recorded}).CompareSize(test.size)); got != test.want {
			t.Errorf("size %d: got %+v, wanted %+v", test.size, got, test.want)
		}
	}
	for _, test := range []struct {
		recorded *int64
		first    int64
		differs  bool
	}{
		{nil, 5, false}, {number(5e9), 5e9, false}, {number(5e9), 5e9 + 1e6, false}, {number(5e9), 5e9 - 1e6, false},
		{number(5e9), 5e9 + 1e6 + 1, true}, {number(5e9), 5e9 - 1e6 - 1, true},
		{number(math.MinInt64), math.MaxInt64, true}, {number(math.MaxInt64), math.MinInt64, true},
		{number(math.MinInt64), -1, true}, {number(math.MinInt64), 0, true},
	} {
		if o := (&Selected{First: test.recorded}).CompareFirst(test.first); (o != nil) != test.differs {
			t.Errorf("first %d: got %+v, wanted a difference: %v", test.first, o, test.differs)
		}
	}
	capture := archive.Content{First: 7e9, HasFirst: true}
	for name, test := range map[string]struct {
		record  Selected
		member  archive.Member
		differs bool
	}{
		"the same":          {Selected{Offset: number(512), Size: number(9), First: number(7e9)}, archive.Member{Offset: 512, Size: 9, Content: capture}, false},
		"longer":            {Selected{Offset: number(512), Size: number(8)}, archive.Member{Offset: 512, Size: 9}, true},
		"another beginning": {Selected{Offset: number(512), Size: number(9), First: number(6e9)}, archive.Member{Offset: 512, Size: 9, Content: capture}, true},
		"beginning unknown": {Selected{Offset: number(512), Size: number(9), First: number(6e9)}, archive.Member{Offset: 512, Size: 9}, false},
		"another member":    {Selected{Offset: number(512), Size: number(8)}, archive.Member{Offset: 1024, Size: 9}, false},
		"no offset":         {Selected{Size: number(8)}, archive.Member{Offset: 1024, Size: 9}, false},
	} {
		o := test.record.CompareMember(&test.member)
		if (o != nil) != test.differs || o != nil && o.Grown {
			t.Errorf("%s: got %+v, wanted a difference: %v", name, o, test.differs)
		}
	}
}

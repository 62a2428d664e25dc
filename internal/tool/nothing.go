package tool

import (
	"fmt"
	"strings"

	"pcap-replay/internal/plural"
	"pcap-replay/internal/record"
)

// LeftOut is a number of packets or captures that were left out for the same reason, such as
// "outside --from".
type LeftOut struct {
	Count         int64
	Thing, Reason string
}

// NothingLeft reports that every packet was left out. The exit code becomes 3. Without
// reasons it does nothing.
func (m *Messages) NothingLeft(reasons ...LeftOut) {
	var parts []string
	for _, r := range reasons {
		if r.Count > 0 {
			parts = append(parts, plural.Of(r.Count, r.Thing)+" "+r.Reason)
		}
	}
	if len(parts) > 0 {
		m.Errorf("no packet is left: %s", strings.Join(parts, ", "))
	}
}

// RangeReason is the reason why RangeFlags leave packets out.
func (f *Flags) RangeReason() string {
	var given []string
	for _, name := range []string{"from", "to"} {
		if f.IsSet(name) {
			given = append(given, "--"+name)
		}
	}
	return "outside " + strings.Join(given, " and ")
}

// Times are the earliest and the latest time of packets. The zero value has none.
type Times struct {
	any              bool
	earliest, latest int64
}

// Add adds the time of a packet.
func (t *Times) Add(time int64) {
	if !t.any {
		t.any, t.earliest, t.latest = true, time, time
	}
	t.earliest, t.latest = min(t.earliest, time), max(t.latest, time)
}

// Widen adds the times of a capture, as far as they are known.
func (t *Times) Widen(earliest, latest *int64) {
	for _, time := range []*int64{earliest, latest} {
		if time != nil {
			t.Add(*time)
		}
	}
}

// Hint has the times of the packets that RangeFlags have left out.
func (t *Times) Hint() string {
	if !t.any {
		return ""
	}
	return fmt.Sprintf("the packets that were read are from %s to %s", record.Time(t.earliest), record.Time(t.latest))
}

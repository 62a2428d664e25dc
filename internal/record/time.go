package record

import (
	"fmt"
	"math"
	"time"
)

// timeLayout makes times that sort as text, for jq.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// The range of Time.
var earliest, latest = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

// Time is a moment in nanoseconds since the Unix epoch. In JSON it is UTC text
// with nine decimals.
type Time int64

// String returns the text in a record, such as 2020-09-13T12:26:40.000011000Z.
func (t Time) String() string { return time.Unix(0, int64(t)).UTC().Format(timeLayout) }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It accepts any RFC 3339 time.
func (t *Time) UnmarshalText(text []byte) error {
	moment, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return fmt.Errorf("time %q: wanted a time such as %s", text, Time(0))
	}
	if moment.Before(earliest) || moment.After(latest) {
		return fmt.Errorf("time %q is outside 1677 to 2262", text)
	}
	*t = Time(moment.UnixNano())
	return nil
}

// Seconds converts a duration to the number in a record.
func Seconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e9 }

package record

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"strconv"
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

// Shift is a duration in nanoseconds by which a capture is moved. In JSON it is a number of
// seconds, or text with such a number: a program that computes with floating point keeps
// nanoseconds only up to a few months.
type Shift int64

// MarshalJSON implements json.Marshaler.
func (s Shift) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, Seconds(int64(s)), 'f', -1, 64), nil
}

// The limits for the text of a Shift, so that it takes little time to parse.
const maxShiftText, maxShiftExponent = 64, 32

// UnmarshalJSON implements json.Unmarshaler. It rounds to nanoseconds.
func (s *Shift) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	wrong := fmt.Errorf("shift %.*s: wanted a number of seconds such as -86400.5", maxShiftText, text)
	number := bytes.Trim(text, `"`)
	mantissa, exponent := number, 0
	if at := bytes.IndexAny(number, "eE"); at >= 0 {
		var err error
		mantissa = number[:at]
		if exponent, err = strconv.Atoi(string(number[at+1:])); err != nil || exponent < -maxShiftExponent || exponent > maxShiftExponent {
			return wrong
		}
	}
	seconds, ok := new(big.Rat).SetString(string(mantissa))
	if !ok || len(number) > maxShiftText || bytes.ContainsAny(mantissa, "/_xXoObBpP") {
		return wrong
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil)
	scale := new(big.Rat).SetInt(power)
	if exponent < 0 {
		scale.Inv(scale)
	}
	nanoseconds := seconds.Mul(seconds, scale).Mul(seconds, big.NewRat(int64(time.Second), 1)).FloatString(0)
	value, err := strconv.ParseInt(nanoseconds, 10, 64)
	if err != nil {
		return fmt.Errorf("shift %.*s: wanted at most %d seconds", maxShiftText, text, math.MaxInt64/int64(time.Second))
	}
	*s = Shift(value)
	return nil
}

// Add returns the time that is moved by a shift. ok is false if it is not in the range of
// Time.
func (t Time) Add(by Shift) (moved Time, ok bool) {
	moved = t + Time(by)
	return moved, moved >= t == (by >= 0)
}

package schedule

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"time"
)

// Speed is the ratio between the time of the source and that of the replay. It is a
// fraction, so that rounding errors do not add up. The zero Speed is 1.
type Speed struct {
	source, departure uint64 // time of the source and time of the replay
}

// The bounds of a Speed. Beyond them, a day becomes less than a millisecond or a
// second more than a year.
const (
	maxSpeed = 1e8
	minSpeed = 1 / maxSpeed
)

// ParseSpeed parses a number above 0: 2, 0.5, 1.9, 1e-3, 1/3.
func ParseSpeed(text string) (Speed, error) {
	speed, ok := new(big.Rat).SetString(text)
	if !ok {
		return Speed{}, fmt.Errorf("wanted a number, such as 2 or 0.5")
	}
	if value, _ := speed.Float64(); value < minSpeed || value > maxSpeed {
		return Speed{}, fmt.Errorf("wanted a number from %g to %g", float64(minSpeed), float64(maxSpeed))
	}
	// Digits that do not fit are dropped from both numbers. The bounds leave enough of
	// them.
	surplus := uint(max(0, speed.Num().BitLen()-63, speed.Denom().BitLen()-63))
	return Speed{
		source:    new(big.Int).Rsh(speed.Num(), surplus).Uint64(),
		departure: new(big.Int).Rsh(speed.Denom(), surplus).Uint64(),
	}, nil
}

// Fit returns the speed at which span takes duration. A span of 0 takes no time at any
// speed.
func Fit(span int64, duration time.Duration) Speed {
	if span <= 0 || duration <= 0 {
		return Speed{}
	}
	return Speed{source: uint64(span), departure: uint64(duration)}
}

// departures returns how long elapsed nanoseconds of the source take.
func (s Speed) departures(elapsed int64) int64 {
	if s.source == s.departure {
		return elapsed
	}
	return scale(uint64(elapsed), s.departure, s.source)
}

// Rate is a number per second, in millionths. The zero Rate means none.
type Rate uint64

// NewRate converts a number per second.
func NewRate(perSecond float64) (Rate, error) {
	millionths := math.Round(perSecond * 1e6)
	if !(millionths >= 1 && millionths < math.MaxInt64) {
		return 0, fmt.Errorf("wanted from 0.000001 to %g a second", math.MaxInt64/1e6)
	}
	return Rate(millionths), nil
}

// departure returns when count of them have passed.
func (r Rate) departure(count uint64) int64 { return scale(count, 1e15, uint64(r)) }

// scale returns value x multiplier / divisor, at most [math.MaxInt64]. The product has 128
// bits.
func scale(value, multiplier, divisor uint64) int64 {
	high, low := bits.Mul64(value, multiplier)
	if high >= divisor {
		return math.MaxInt64
	}
	quotient, _ := bits.Div64(high, low, divisor)
	return int64(min(quotient, math.MaxInt64))
}

package tool

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"pcap-replay/internal/record"
)

// timeLayouts are the formats of times. Without a zone, they are UTC. Suricata writes the
// zone without a colon.
var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02T15", "2006-01-02", "2006-01", "2006",
}

// year matches a number that is a year and not seconds: nobody means 2012 seconds after
// 1970.
var year = regexp.MustCompile(`^[0-9]{4}$`)

// ParseTime parses a time in the format of records, a shorter form, or Unix seconds with
// decimals. A number of four digits is a year. It returns nanoseconds since the Unix epoch.
func ParseTime(flag, text string) (int64, error) {
	if nanoseconds, ok := parseDecimal(strings.TrimPrefix(text, "@"), 9); ok && !year.MatchString(text) {
		return nanoseconds, nil
	}
	for _, layout := range timeLayouts {
		if moment, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			nanoseconds := moment.UnixNano()
			if !time.Unix(0, nanoseconds).Equal(moment) {
				return 0, UsageErrorf("--%s %q: wanted a time from %s to %s", flag, text, record.Time(math.MinInt64), record.Time(math.MaxInt64))
			}
			return nanoseconds, nil
		}
	}
	return 0, UsageErrorf("--%s %q: wanted a time such as %s, or Unix seconds", flag, text, record.Time(1600000000e9))
}

// ParseDuration parses a Go duration such as 1h30m, or a number of seconds.
func ParseDuration(flag, text string) (time.Duration, error) {
	if nanoseconds, ok := parseDecimal(text, 9); ok {
		return time.Duration(nanoseconds), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, UsageErrorf("--%s %q: wanted a duration such as 90s, 1h30m or 250ms", flag, text)
	}
	return d, nil
}

// parseDecimal parses a decimal number exactly, scaled by 10^digits. Further digits are
// dropped.
func parseDecimal(text string, digits int) (int64, bool) {
	negative := strings.HasPrefix(text, "-")
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if whole == "" || strings.TrimLeft(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	fraction = (fraction + strings.Repeat("0", digits))[:digits]
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

var sizeUnits = map[string]float64{
	"": 1, "b": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20, "g": 1 << 30, "gib": 1 << 30, "t": 1 << 40, "tib": 1 << 40,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
}

// ParseSize parses a number of bytes with a unit: 256MiB (or 256M), 1GB.
func ParseSize(flag, text string) (int64, error) {
	if n, ok := parseWithUnit(text, sizeUnits); ok && n >= 0 && n < math.MaxInt64 {
		return int64(n), nil
	}
	return 0, UsageErrorf("--%s %q: wanted a size such as 65536, 256MiB or 1GB", flag, text)
}

var rateUnits = map[string]float64{"": 1, "k": 1e3, "m": 1e6, "g": 1e9}

// ParseRate parses an amount per second with a decimal unit: 10M, 2.5G.
func ParseRate(flag, text string) (float64, error) {
	if perSecond, ok := parseRate(text); ok {
		return perSecond, nil
	}
	err := UsageErrorf("--%s %q: wanted a rate over 0, such as 5000, 10M or 2.5G", flag, text)
	number := rateUnit.ReplaceAllString(strings.ReplaceAll(text, " ", ""), "")
	if _, ok := parseRate(number); ok {
		return 0, err.WithHint("write --" + flag + " " + number)
	}
	return 0, err
}

// rateUnit matches units such as bps, bit/s and pps, which the flag itself names here. A
// capital B would be bytes.
var rateUnit = regexp.MustCompile(`(bits?|b|packets?|p)?(ps|/s)?$`)

func parseRate(text string) (perSecond float64, ok bool) {
	n, ok := parseWithUnit(text, rateUnits)
	return n, ok && n > 0 && !math.IsInf(n, 0)
}

func parseWithUnit(text string, units map[string]float64) (float64, bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit, ok := units[strings.ToLower(text[len(digits):])]
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseFloat(digits, 64)
	return n * unit, err == nil && !math.IsNaN(n)
}

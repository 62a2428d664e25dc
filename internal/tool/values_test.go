package tool

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// explainedValue matches the examples of values in the manual.
var explainedValue = regexp.MustCompile(`(?m)^\.Ql (.+) [,;.]$`)

// The examples of values in pcap-replay(7) are valid.
func TestTheValuesOfThePageAreRead(t *testing.T) {
	page, err := os.ReadFile("../../man/pcap-replay.7")
	if err != nil {
		t.Fatal(err)
	}
	_, values, _ := strings.Cut(string(page), "\n.Sh VALUES\n")
	values, _, _ = strings.Cut(values, "\n.Sh ")
	read := map[string]func(text string) error{
		"time":     func(text string) error { _, err := ParseTime("value", text); return err },
		"duration": func(text string) error { _, err := ParseDuration("value", text); return err },
		"size":     func(text string) error { _, err := ParseSize("value", text); return err },
		"rate":     func(text string) error { _, err := ParseRate("value", text); return err },
	}
	for _, item := range strings.Split(values, "\n.It ")[1:] {
		kind, text, _ := strings.Cut(item, "\n")
		if read[kind] == nil {
			continue
		}
		found := explainedValue.FindAllStringSubmatch(text, -1)
		if len(found) < 4 {
			t.Errorf("%s has %d examples, wanted 4 or more", kind, len(found))
		}
		for _, groups := range found {
			if err := read[kind](groups[1]); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		delete(read, kind)
	}
	for kind := range read {
		t.Errorf("no word of %ss", kind)
	}
}

// Four digits are a year, and other numbers are Unix seconds.
func TestParseTime(t *testing.T) {
	date := func(year, month, day, hour int) int64 {
		return time.Date(year, time.Month(month), day, hour, 0, 0, 0, time.UTC).UnixNano()
	}
	for text, want := range map[string]int64{
		"2012": date(2012, 1, 1, 0), "2012-11": date(2012, 11, 1, 0), "2012-11-12": date(2012, 11, 12, 0),
		"2012-11-12T11": date(2012, 11, 12, 11), "2012-11-12T13:00:00.000000+0200": date(2012, 11, 12, 11), "2012-11-12 13:00:00+02:00": date(2012, 11, 12, 11), "@2012": 2012e9, "2012.0": 2012e9, "999": 999e9, "10000": 10000e9, "-2012": -2012e9, "1600000000": 1600000000e9,
	} {
		if got, err := ParseTime("from", text); err != nil || got != want {
			t.Errorf("%s: %d, %v, wanted %d", text, got, err, want)
		}
	}
	for _, text := range []string{"2012-13", "0000", "9999", "20-12", "2012-", "2012T11"} {
		if got, err := ParseTime("from", text); err == nil {
			t.Errorf("%s: %d, wanted an error", text, got)
		}
	}
}

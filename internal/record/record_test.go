package record_test

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pcap-replay/internal/record"
)

// pointer makes the value of a field that may be absent.
func pointer[T any](value T) *T { return &value }

// full has a value in every field.
var full = record.Capture{
	Path: "a\ufffd.pcap", PathRaw: []byte("a\xff.pcap"), Archive: "s\ufffd.tar", ArchiveRaw: []byte("s\xff.tar"), Offset: pointer(int64(512)),
	Format: "pcapng", Compression: "gzip", LinkType: pointer(uint16(1)), LinkName: "EN10MB", LinkTypes: []uint16{1, 276},
	Snaplen: 262144, Sections: 2, Size: 1000, Packets: 7, Bytes: 700, WireBytes: 7000, MaxPacket: 100,
	First: pointer(record.Time(1600000000e9)), Last: pointer(record.Time(1600000001e9)),
	Earliest: pointer(record.Time(1600000000e9 - 1)), Latest: pointer(record.Time(1600000001e9 + 11000)),
	Duration: 1.000011001, PPS: 6.999923, BPS: 55999.38, OutOfOrder: 2, MaxDisorder: 0.5, Truncated: 3, Overlong: 2, Untimed: 1,
	UnknownBlocks: []record.UnknownBlocks{{Type: 0x80000002, Blocks: 2, Bytes: 64}},
	Damage:        []record.Damage{{Offset: 24, Lost: 16, Record: 1, Reason: `a "reason" <&>`}}, DamageUnlisted: 4, LostBytes: 99,
}

// The names and the format of fields are stable: fields may be added, but those of the
// golden record stay.
func TestCaptureStaysCompatible(t *testing.T) {
	golden, err := os.ReadFile("testdata/capture.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	var line bytes.Buffer
	if err := record.NewEncoder(&line).Encode(full); err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := stdjson.Unmarshal(line.Bytes(), &got); err != nil {
		t.Fatalf("encoding/json cannot read %s: %v", line.Bytes(), err)
	}
	if err := stdjson.Unmarshal(golden, &want); err != nil {
		t.Fatal(err)
	}
	for field, value := range want {
		if !reflect.DeepEqual(got[field], value) {
			t.Errorf("field %q is %v, was %v", field, got[field], value)
		}
	}
	var back record.Capture
	if err := record.NewDecoder(bytes.NewReader(golden)).Decode(&back); err != nil || !reflect.DeepEqual(back, full) {
		t.Errorf("%v, %+v, wanted %+v", err, back, full)
	}
	for i := range reflect.TypeFor[record.Capture]().NumField() {
		if reflect.ValueOf(full).Field(i).IsZero() {
			t.Errorf("the golden record has nothing in %s", reflect.TypeFor[record.Capture]().Field(i).Name)
		}
	}
}

// jq compares times as text.
func TestTimesSortAsText(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var times []record.Time
	for range 2000 {
		times = append(times, record.Time(random.Int64N(math.MaxInt64)>>random.IntN(30)))
	}
	times = append(times, math.MinInt64, -1, 0, 1, math.MaxInt64)
	slices.Sort(times)
	texts := make([]string, len(times))
	for i, moment := range times {
		texts[i] = moment.String()
		var back record.Time
		if err := back.UnmarshalText([]byte(texts[i])); err != nil || back != moment {
			t.Errorf("%s: %v, %d, wanted %d", texts[i], err, back, moment)
		}
	}
	if !slices.IsSorted(texts) {
		t.Error("texts of sorted times are not sorted")
	}
}

func TestTimesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                               `time "": wanted a time such as 1970-01-01T00:00:00.000000000Z`,
		"monday":                         `time "monday": wanted a time such as 1970-01-01T00:00:00.000000000Z`,
		"2020-09-13 12:26:40":            `time "2020-09-13 12:26:40": wanted a time such as 1970-01-01T00:00:00.000000000Z`,
		"2262-04-11T23:47:16.854775808Z": `time "2262-04-11T23:47:16.854775808Z" is outside 1677 to 2262`,
		"0001-01-01T00:00:00Z":           `time "0001-01-01T00:00:00Z" is outside 1677 to 2262`,
	} {
		var moment record.Time
		if err := moment.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, wanted %s", text, err, want)
		}
	}
	var moment record.Time
	if err := moment.UnmarshalText([]byte("2020-09-13T14:26:40.5+02:00")); err != nil || moment != 1600000000_500000000 {
		t.Errorf("%v, %d", err, moment)
	}
}

func TestNamesComeBackByteForByte(t *testing.T) {
	for _, name := range []string{"a.pcap", "ü.pcap", "\xff.pcap", "tab\there\n", "\x00", "<&>\"\\", "\u2028", strings.Repeat("\xc3", 300), "\ufffd"} {
		var line bytes.Buffer
		if err := record.NewEncoder(&line).Encode(record.Capture{Path: name, PathRaw: record.RawName(name)}); err != nil {
			t.Fatal(err)
		}
		if bytes.Count(line.Bytes(), []byte("\n")) != 1 || !stdjson.Valid(line.Bytes()) || !utf8.Valid(line.Bytes()) {
			t.Errorf("%q: %q is not one line of JSON", name, line.Bytes())
		}
		var back record.Capture
		if err := record.NewDecoder(&line).Decode(&back); err != nil || record.Name(back.Path, back.PathRaw) != name {
			t.Errorf("%q came back as %q: %v", name, record.Name(back.Path, back.PathRaw), err)
		}
	}
}

// writes counts the calls of Write.
type writes struct{ lines []string }

func (w *writes) Write(p []byte) (int, error) {
	w.lines = append(w.lines, string(p))
	return len(p), nil
}

// A record shows no terminal anything to obey, and its names come back unchanged.
func TestEncodeEscapesControls(t *testing.T) {
	const name = "\x1b[\x7f\u009b31m\u202e\u2028\U000e0041\n\"ü\U0001f600"
	var line bytes.Buffer
	if err := record.NewEncoder(&line).Encode(record.Capture{Path: name}); err != nil {
		t.Fatal(err)
	}
	if wanted := `"path":"\u001b[\u007f\u009b31m\u202e\u2028\udb40\udc41\n\"ü` + "\U0001f600" + `"`; !strings.Contains(line.String(), wanted) {
		t.Errorf("%q, wanted %s", line.String(), wanted)
	}
	var back record.Capture
	if err := record.NewDecoder(&line).Decode(&back); err != nil || back.Path != name {
		t.Errorf("%q, %v", back.Path, err)
	}
}

// A record is written with one Write, so records of several processes that append to one
// file do not mix.
func TestEncodeWritesOnce(t *testing.T) {
	var w writes
	encoder := record.NewEncoder(&w)
	for range 3 {
		if err := encoder.Encode(full); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.lines) != 3 || !strings.HasSuffix(w.lines[0], "}\n") {
		t.Errorf("%d writes of 3 records", len(w.lines))
	}
	failure := errors.New("disk full")
	if err := record.NewEncoder(failingWriter{failure}).Encode(full); !errors.Is(err, failure) {
		t.Error(err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestDecode(t *testing.T) {
	lines := "\n{\"path\":\"a\"}\n\n\r\n{\"path\":\"b\",\"of the future\":[1]}"
	decoder := record.NewDecoder(iotest.OneByteReader(strings.NewReader(lines)))
	for _, want := range []struct {
		path string
		line int
	}{{"a", 2}, {"b", 5}} {
		var c record.Capture
		if err := decoder.Decode(&c); err != nil || c.Path != want.path || decoder.Line() != want.line {
			t.Errorf("%v, %q in line %d, wanted %q in %d", err, c.Path, decoder.Line(), want.path, want.line)
		}
	}
	if err := decoder.Decode(new(record.Capture)); err != io.EOF {
		t.Error(err)
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	failure := errors.New("cable pulled")
	for _, c := range []struct {
		src  io.Reader
		want string
	}{
		{strings.NewReader("{}\n\xd4\xc3\xb2\xa1\x02\x00"), "line 2: not a record: begins with \"\\xd4"},
		{strings.NewReader(`{"path":`), "line 1: not a record: the line has only the beginning of one"},
		{strings.NewReader("{\n  \"path\": 1\n}\n"), "line 1: not a record: the line has only the beginning of one"},
		{strings.NewReader(`{"path":1}`), `line 1: not a record: wrong value of "path"`},
		{strings.NewReader(`{"path_b64":"%"}`), `line 1: not a record: wrong value of "path_b64"`},
		{strings.NewReader(`{"packets":"1"}`), `line 1: not a record: wrong value of "packets"`},
		{strings.NewReader(`{"packets":1.5}`), `line 1: not a record: wrong value of "packets"`},
		{strings.NewReader(`{"max_disorder":"1"}`), `line 1: not a record: wrong value of "max_disorder"`},
		{strings.NewReader(`{"damage":1}`), `line 1: not a record: wrong value of "damage"`},
		{strings.NewReader(`{'path':"a"}`), "line 1: not a record: not valid JSON"},
		{strings.NewReader(`{"first":"monday"}`), `line 1: not a record: time "monday": `},
		{strings.NewReader(`{"packets":` + strings.Repeat("9", 1000) + `.}`), "line 1: not a record: not valid JSON"},
		{strings.NewReader(`{"duration":1` + strings.Repeat("0", 1000) + `}`), `line 1: not a record: wrong value of "duration"`},
		{strings.NewReader(`{} {}`), "line 1: not a record: the line goes on after the first one"},
		{strings.NewReader(strings.Repeat(" ", record.MaxLineLength+1)), "line 1: over 16777216 bytes"},
		{io.MultiReader(strings.NewReader("{}\n"), iotest.ErrReader(failure)), "line 2: cable pulled"},
	} {
		decoder := record.NewDecoder(c.src)
		err := decoder.Decode(new(record.Capture))
		if err == nil {
			err = decoder.Decode(new(record.Capture))
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || len(err.Error()) > 300 {
			t.Errorf("%v, wanted %s", err, c.want)
		}
	}
}

// Any line is a valid record or is refused, and a valid record survives writing and
// reading.
func FuzzDecode(f *testing.F) {
	golden, err := os.ReadFile("testdata/capture.ndjson")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Fuzz(func(t *testing.T, lines []byte) {
		decoder := record.NewDecoder(bytes.NewReader(lines))
		for {
			var c record.Capture
			err := decoder.Decode(&c)
			if err != nil {
				return
			}
			var line bytes.Buffer
			if err := record.NewEncoder(&line).Encode(c); err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			var again record.Capture
			if err := record.NewDecoder(bytes.NewReader(line.Bytes())).Decode(&again); err != nil {
				t.Fatalf("%s: %v", line.Bytes(), err)
			}
			var sameLine bytes.Buffer
			if err := record.NewEncoder(&sameLine).Encode(again); err != nil || sameLine.String() != line.String() {
				t.Fatalf("%v, %s, was %s", err, sameLine.Bytes(), line.Bytes())
			}
		}
	})
}

// A shift is a decimal number of seconds, rounded to nanoseconds.
func TestShift(t *testing.T) {
	for text, want := range map[string]record.Shift{
		"0": 0, "1": 1e9, "-86400.5": -86400.5e9, "0.000000001": 1, "-1e-9": -1, "1.5E+3": 1500e9, `"31536000.000000001"`: 31536000000000001,
		"0.30000000000000004": 300000000, "0.0000000005": 1, "-0.0000000005": -1, "0.00000000049": 0, "null": 7, "9223372036.854775807": math.MaxInt64,
	} {
		got := record.Shift(7)
		if err := got.UnmarshalJSON([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %d, %v, wanted %d", text, got, err, want)
		}
	}
	for _, text := range []string{`"soon"`, `""`, "true", "{}", "[1]", "1/3", "0x10", "1e33", "1e-33", "1e1000000000", "9223372036.854775808", "1_000", "Inf", strings.Repeat("1", 65), "0." + strings.Repeat("0", 100)} {
		var got record.Shift
		if err := got.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s: got %d, wanted an error", text, got)
		}
	}
	for _, test := range []struct {
		time  record.Time
		by    record.Shift
		moves bool
	}{{math.MaxInt64, 1, false}, {math.MaxInt64, 0, true}, {math.MinInt64, -1, false}, {5, -7, true}, {-1, math.MinInt64, false}} {
		if got, ok := test.time.Add(test.by); ok != test.moves || ok && got != test.time+record.Time(test.by) {
			t.Errorf("%d + %d: %d, %v", test.time, test.by, got, ok)
		}
	}
}

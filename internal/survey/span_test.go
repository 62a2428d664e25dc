package survey_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// countingReader counts the bytes that are read of a file.
type countingReader struct {
	*bytes.Reader
	bytes int
}

func (c *countingReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.Reader.ReadAt(p, offset)
	c.bytes += n
	return n, err
}

// The end of a plain pcap is found without reading its middle. Of another capture, a part
// is read.
func TestFindSpan(t *testing.T) {
	packets := largePackets()
	large := pcap(packets)
	last := packets[len(packets)-1].Time
	later := slices.Clone(packets[:100])
	for i := range later {
		later[i].Time += int64(time.Hour)
	}
	const limit = 1 << 20
	reader := stream.NewReader(nil)
	defer reader.Close()
	for name, c := range map[string]struct {
		file   []byte
		latest int64 // at least
		exact  bool
	}{
		"large":            {large, last, true},
		"large big-endian": {lab.Pcap(packets, binary.BigEndian, false), last / 1000 * 1000, true},
		"small":            {pcap(packets[:20]), packets[19].Time, true},
		"two sections":     {slices.Concat(large, lab.Pcap(later, binary.BigEndian, false)), lab.Start, false},
		"cut":              {large[:len(large)-7], lab.Start, false},
		"damaged at the end": {slices.Concat(large[:len(large)-5000], bytes.Repeat([]byte{0xff}, 5000)),
			lab.Start, false},
		"compressed": {lab.Compressions(t, pcap(packets[:30]))[0], packets[29].Time, true},
	} {
		file := &countingReader{Reader: bytes.NewReader(c.file)}
		span, ok, err := survey.FindSpan(reader, file, int64(len(c.file)), limit)
		if err != nil || !ok || span.First != lab.Start || span.Latest < c.latest || c.exact && span.Latest != c.latest {
			t.Errorf("%s: %+v, %v, %v, wanted from %d to %d", name, span, ok, err, lab.Start, c.latest)
		}
		if most := 8 << 20; file.bytes > most {
			t.Errorf("%s: read %d bytes of %d, wanted at most %d", name, file.bytes, len(c.file), most)
		}
	}
	for name, data := range map[string][]byte{"empty": nil, "without packets": large[:24]} {
		if span, ok, err := survey.FindSpan(reader, bytes.NewReader(data), int64(len(data)), limit); ok || err != nil {
			t.Errorf("%s: %+v, %v, %v", name, span, ok, err)
		}
	}
	text := []byte("no capture, but a text that is long enough to be read as one")
	if _, _, err := survey.FindSpan(reader, bytes.NewReader(text), int64(len(text)), limit); err == nil {
		t.Error("a text has a span")
	}
}

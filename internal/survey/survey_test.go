package survey_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// atSeconds makes packets of 100 bytes at the given seconds after lab.Start.
func atSeconds(seconds ...float64) []stream.Packet {
	packets := lab.Packets(len(seconds), lab.Start, 0, 100)
	for i, s := range seconds {
		packets[i].Time += int64(s * 1e9)
	}
	return packets
}

func pcap(packets []stream.Packet) []byte { return lab.Pcap(packets, binary.LittleEndian, true) }

func take(t *testing.T, capture []byte) record.Capture {
	t.Helper()
	c, err := survey.Take(stream.NewReader(bytes.NewReader(capture)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(seconds float64) *record.Time {
	t := record.Time(lab.Start + int64(seconds*1e9))
	return &t
}

func TestTakeDefinesFields(t *testing.T) {
	ethernet := uint16(1)
	packets := atSeconds(10, 12, 11, 8, 12, 14, 13)
	packets[1].WireLength = 1500
	packets[2].Data = packets[2].Data[:60]
	packets[3].WireLength = 90
	want := record.Capture{
		Format: "pcap-ns", Compression: "none", LinkType: &ethernet, LinkName: "EN10MB",
		Snaplen: stream.MaxCaptureLength, Sections: 1,
		Packets: 7, Bytes: 6*100 + 60, WireBytes: 5*100 + 90 + 1500, MaxPacket: 100,
		First: at(10), Last: at(13), Earliest: at(8), Latest: at(14), Duration: 6,
		PPS: 7. / 6, BPS: (5*100 + 90 + 1500) * 8 / 6.,
		OutOfOrder: 3, MaxDisorder: 4, Truncated: 2, Overlong: 1,
	}
	if got := take(t, pcap(packets)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, wanted %+v", got, want)
	}
}

func TestTakeOfNothing(t *testing.T) {
	if got := take(t, nil); !reflect.DeepEqual(got, record.Capture{Format: "unknown", Compression: "none"}) {
		t.Errorf("empty file: %+v", got)
	}
	got := take(t, pcap(nil))
	if got.Packets != 0 || got.First != nil || got.Latest != nil || got.Format != "pcap-ns" || *got.LinkType != 1 {
		t.Errorf("capture without packets: %+v", got)
	}
}

// One packet, or several with equal times, have a rate of 0 and not an infinite one.
func TestTakeWithoutDuration(t *testing.T) {
	for _, packets := range [][]stream.Packet{atSeconds(1), atSeconds(1, 1, 1)} {
		got := take(t, pcap(packets))
		if got.Duration != 0 || got.PPS != 0 || got.BPS != 0 || got.OutOfOrder != 0 || *got.First != *at(1) || *got.Latest != *at(1) {
			t.Errorf("%d packets: %+v", len(packets), got)
		}
	}
}

func TestTakeJoinsSections(t *testing.T) {
	raw := atSeconds(5, 6)
	for i := range raw {
		raw[i].LinkType = stream.LinkTypeRaw
	}
	empty := pcap(nil)
	copy(empty[16:], []byte{0, 0, 4, 0})
	got := take(t, bytes.Join([][]byte{pcap(atSeconds(7, 9)), empty, lab.Pcap(raw, binary.BigEndian, false)}, nil))
	if got.Sections != 3 || got.Packets != 4 || *got.LinkType != 1 || !reflect.DeepEqual(got.LinkTypes, []uint16{1, 101}) {
		t.Errorf("%+v", got)
	}
	if *got.First != *at(7) || *got.Last != *at(6) || *got.Earliest != *at(5) || *got.Latest != *at(9) || got.OutOfOrder != 2 || got.MaxDisorder != 4 {
		t.Errorf("%+v", got)
	}
}

// simplePackets is a pcapng with count simple packet blocks, which have no time.
func simplePackets(count int) []byte {
	order := binary.LittleEndian
	words := func(values ...uint32) (b []byte) {
		for _, v := range values {
			b = order.AppendUint32(b, v)
		}
		return b
	}
	file := words(0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0xffffffff, 0xffffffff, 28)
	file = append(file, words(1, 20, 1, 96, 20)...)
	for range count {
		file = append(file, words(3, 16+96, 100)...)
		file = append(file, lab.Frame(0, 0, 100)[:96]...)
		file = append(file, words(16+96)...)
	}
	return file
}

func TestTakeLeavesUntimedPacketsOutOfTheTimes(t *testing.T) {
	got := take(t, simplePackets(3))
	if got.Packets != 3 || got.Untimed != 3 || got.Truncated != 3 || got.Snaplen != 96 || got.First != nil || got.Duration != 0 {
		t.Errorf("%+v", got)
	}
	got = take(t, append(simplePackets(3), pcap(atSeconds(1, 2))...))
	if got.Packets != 5 || got.Untimed != 3 || *got.First != *at(1) || *got.Earliest != *at(1) || got.Snaplen != stream.MaxCaptureLength {
		t.Errorf("%+v", got)
	}
}

// If a capture is cut at any position, all whole packets count, and the rest is reported as
// lost.
func TestTakeOfCutCapture(t *testing.T) {
	whole := pcap(atSeconds(0, 1, 2, 3, 4))
	for size := 24; size < len(whole); size++ {
		got := take(t, whole[:size])
		packets, rest := (size-24)/116, (size-24)%116
		if got.Packets != int64(packets) || got.LostBytes != int64(rest) {
			t.Errorf("cut at %d: %d packets and %d bytes lost, wanted %d and %d", size, got.Packets, got.LostBytes, packets, rest)
		}
		if rest == 0 && got.Damage != nil || rest > 0 && (len(got.Damage) != 1 || got.Damage[0].Offset != int64(size-rest)) {
			t.Errorf("cut at %d: damage %v", size, got.Damage)
		}
	}
	for size := 1; size < 24; size++ {
		if _, err := survey.Take(stream.NewReader(bytes.NewReader(whole[:size])), nil); !errors.Is(err, stream.ErrNotCapture) {
			t.Errorf("cut at %d: %v", size, err)
		}
	}
}

func TestTakeListsDamageUpToABound(t *testing.T) {
	const places = survey.MaxDamage + 20
	file := simplePackets(0)
	for range places { // packets that are longer than their blocks
		file = append(file, 6, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0)
		file = append(file, 0, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0, 99, 0, 0, 0, 32, 0, 0, 0)
	}
	got := take(t, file)
	if len(got.Damage) != survey.MaxDamage || got.DamageUnlisted != places-survey.MaxDamage || got.LostBytes != places*32 || got.Packets != 0 {
		t.Errorf("%d listed, %d unlisted, %d bytes lost, %d packets", len(got.Damage), got.DamageUnlisted, got.LostBytes, got.Packets)
	}
}

// If the source fails, the survey has what came before, and returns the error.
func TestTakeOfFailingSource(t *testing.T) {
	failure := errors.New("cable pulled")
	src := io.MultiReader(bytes.NewReader(pcap(atSeconds(0, 1, 2))), iotest.ErrReader(failure))
	got, err := survey.Take(stream.NewReader(src), nil)
	if !errors.Is(err, failure) || got.Packets != 3 || *got.Latest != *at(2) {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestTakeAllocatesNothingPerPacket(t *testing.T) {
	allocations := func(count int) float64 {
		capture := pcap(lab.Packets(count, lab.Start, time.Millisecond, 60))
		return testing.AllocsPerRun(5, func() {
			if _, err := survey.Take(stream.NewReader(bytes.NewReader(capture)), nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(50_000); many > few {
		t.Errorf("%.0f allocations for 10 packets, %.0f for 50,000", few, many)
	}
}

// For any bytes, the survey ends, and its sums are consistent.
func FuzzTake(f *testing.F) {
	f.Add(pcap(atSeconds(1, 2)))
	f.Add(simplePackets(2))
	f.Add(pcap(atSeconds(1, 2))[:150])
	f.Add(append(simplePackets(1), pcap(atSeconds(3, 2))...))
	f.Fuzz(func(t *testing.T, capture []byte) {
		var rate survey.Rate
		c, err := survey.Take(stream.NewReader(bytes.NewReader(capture)), &rate)
		if c.LostBytes < 0 || c.Truncated > c.Packets || c.OutOfOrder > max(0, c.Packets-c.Untimed-1) || c.Duration < 0 {
			t.Errorf("%v, %+v", err, c)
		}
		if (c.First == nil) != (c.Packets == c.Untimed) {
			t.Errorf("first %v of %d packets, %d of them without time", c.First, c.Packets, c.Untimed)
		}
		if c.First != nil && (*c.Earliest > *c.First || *c.Latest < *c.Last || strings.TrimSpace(c.First.String()) == "") {
			t.Errorf("%+v", c)
		}
		if c.First != nil {
			checkSpread(t, &rate, int64(*c.Earliest), int64(*c.Latest), float64(c.Packets-c.Untimed))
		}
	})
}

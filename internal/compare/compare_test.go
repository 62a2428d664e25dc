package compare_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/compare"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// memory is the default of the tool.
const memory = 256 << 20

func reader(packets []stream.Packet) *stream.Reader {
	return stream.NewReader(bytes.NewReader(lab.Pcap(packets, binary.LittleEndian, true)))
}

func mustCompare(t testing.TB, reference, capture []stream.Packet, options compare.Options) *compare.Result {
	t.Helper()
	if options.Memory == 0 {
		options.Memory = memory
	}
	result, err := compare.Compare(reader(reference), reader(capture), options)
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, result)
	return result
}

// checkSums holds what every comparison must fulfil.
func checkSums(t testing.TB, r *compare.Result) {
	t.Helper()
	if sum := r.Matched + r.Altered + r.Comparison.Missing; sum != r.Reference.Packets {
		t.Errorf("reference: matched %d + altered %d + missing %d is not %d", r.Matched, r.Altered, r.Comparison.Missing, r.Reference.Packets)
	}
	if sum := r.Matched + r.Altered + r.Duplicated + r.Comparison.Extra; sum != r.Capture.Packets {
		t.Errorf("capture: matched %d + altered %d + duplicated %d + extra %d is not %d", r.Matched, r.Altered, r.Duplicated, r.Comparison.Extra, r.Capture.Packets)
	}
}

// counts are what a comparison has counted.
type counts struct {
	matched, altered, missing, extra, duplicated, displaced, reordered, extent int64
	fields                                                                     record.AlteredFields
	framing                                                                    record.Framing
}

func countsOf(r *compare.Result) counts {
	return counts{
		r.Matched, r.Altered, r.Comparison.Missing, r.Comparison.Extra, r.Duplicated, r.Displaced, r.Reordered, r.ReorderingExtent,
		r.AlteredFields, r.Framing,
	}
}

// shifted gives packets at other times, with data that may be changed.
func shifted(packets []stream.Packet, offset time.Duration) []stream.Packet {
	other := slices.Clone(packets)
	for i := range other {
		other[i].Time += int64(offset)
		other[i].Data = bytes.Clone(other[i].Data)
	}
	return other
}

// A capture held against itself has no differences at all, at whatever time it was taken.
func TestItself(t *testing.T) {
	packets := lab.Packets(3000, lab.Start, 10*time.Microsecond, 100)
	for _, offset := range []time.Duration{0, 3 * time.Hour, -time.Minute} {
		r := mustCompare(t, packets, shifted(packets, offset), compare.Options{})
		if got, want := countsOf(r), (counts{matched: 3000}); got != want {
			t.Errorf("%+v, wanted %+v", got, want)
		}
		none := record.TimeError{Within1us: 1, Within10us: 1, Within100us: 1, Within1ms: 1}
		if *r.GapError != none || *r.ScheduleError != none || *r.DriftPPM != 0 || *r.DriftEnd != 0 || *r.DriftEndPPM != 0 || r.Speed != 1 {
			t.Errorf("gap error %+v, schedule error %+v, drift %v ppm, %v s, %v ppm, speed %v", *r.GapError, *r.ScheduleError, *r.DriftPPM, *r.DriftEnd, *r.DriftEndPPM, r.Speed)
		}
		if len(r.Bursts) == 0 {
			t.Error("no bursts")
		}
		for _, b := range r.Bursts {
			if b.Ratio == nil || *b.Ratio != 1 {
				t.Errorf("bursts at %v s: %v", b.Scale, b.Ratio)
			}
		}
	}
}

// Without packets on a side, everything is missing or extra.
func TestEmpty(t *testing.T) {
	packets := lab.Packets(100, lab.Start, time.Millisecond, 100)
	for _, c := range []struct {
		reference, capture []stream.Packet
		want               counts
	}{
		{packets, nil, counts{missing: 100}},
		{nil, packets, counts{extra: 100}},
		{nil, nil, counts{}},
	} {
		r := mustCompare(t, c.reference, c.capture, compare.Options{})
		if got := countsOf(r); got != c.want {
			t.Errorf("%+v, wanted %+v", got, c.want)
		}
		if r.GapError != nil || r.ScheduleError != nil || r.DriftPPM != nil {
			t.Error("times of nothing")
		}
	}
}

// builder makes packets that differ, of several protocols.
type builder struct {
	*rand.Rand
	made uint32
}

// frame makes a frame with a payload of length bytes that no other has.
func (b *builder) frame(length int) []byte {
	b.made++
	payload := binary.BigEndian.AppendUint32(nil, b.made)
	for len(payload) < length {
		payload = append(payload, byte(b.IntN(256)))
	}
	var transport []byte
	protocol := byte(17)
	switch b.IntN(4) {
	case 0:
		protocol = 6
		transport = []byte{10, 0, 0, 80}
		transport = binary.BigEndian.AppendUint32(transport, b.made)
		transport = append(transport, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0x12, 0x34, 0, 0)
	case 1:
		protocol = 1
		transport = []byte{8, 0, 0x12, 0x34, 0, 1, byte(b.made >> 8), byte(b.made)}
	default:
		transport = []byte{byte(b.IntN(4)), 7, 0, 53, 0, byte(8 + len(payload)), byte(b.IntN(256)), byte(b.IntN(256))}
	}
	total := len(transport) + len(payload)
	frame := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	if b.IntN(3) == 0 {
		frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0, byte(total>>8), byte(total), protocol, 64)
		frame = append(frame, bytes.Repeat([]byte{0xfd}, 15)...)
		frame = append(frame, byte(b.IntN(4)))
		frame = append(frame, bytes.Repeat([]byte{0xfc}, 16)...)
	} else {
		total += 20
		frame = append(frame, 8, 0, 0x45, 0, byte(total>>8), byte(total), byte(b.made>>8), byte(b.made), 0, 0, 64, protocol, 0x56, 0x78, 10, 0, 0, byte(b.IntN(4)), 10, 0, 1, 1)
	}
	return append(append(frame, transport...), payload...)
}

// arp is the same every time.
func arp() []byte {
	return append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, bytes.Repeat([]byte{9}, 20)...)
}

func isIPv6(frame []byte) bool { return frame[12] == 0x86 }

// headers is how long the headers of a frame of builder are.
func headers(frame []byte) int {
	length, protocol := 34, frame[23]
	if isIPv6(frame) {
		length, protocol = 54, frame[20]
	}
	return length + map[byte]int{6: 20, 17: 8, 1: 8}[protocol]
}

// arrival is a packet of the capture, and its number in the reference, or -1.
type arrival struct {
	stream.Packet
	number int
}

// mixture is a capture made from a reference, and what a comparison must count.
type mixture struct {
	*builder
	reference []stream.Packet
	arrivals  []arrival
	want      counts
}

// newMixture changes some packets of a reference, each in one way.
func newMixture(seed uint64) *mixture {
	m := &mixture{builder: &builder{Rand: rand.New(rand.NewPCG(seed, 1))}}
	count := 50 + m.IntN(500)
	now := lab.Start
	for i := range count {
		now += int64(m.ExpFloat64() * 1e6)
		data := arp()
		if i%10 != 5 {
			data = m.frame(4 + m.IntN(100))
		}
		m.reference = append(m.reference, stream.Packet{Time: now, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet})
	}
	for i, p := range shifted(m.reference, time.Hour) {
		m.arrivals = append(m.arrivals, arrival{p, i})
	}
	m.want.matched = int64(count)
	// From the end, so that what has been changed is behind.
	for at := count - 2; at >= 0; at -= 1 + m.IntN(8) {
		m.change(at)
	}
	m.want.reordered, m.want.extent = reordering(m.arrivals)
	return m
}

// change changes what came at a place in one way.
func (m *mixture) change(at int) {
	a := &m.arrivals[at]
	isARP := a.number%10 == 5
	alter := func(counter *int64, offset int) {
		a.Data[offset] ^= 0x41
		m.want.matched--
		m.want.altered++
		*counter++
	}
	way := m.IntN(15)
	if isARP {
		way %= 2
	}
	switch ipv6 := isIPv6(a.Data); way {
	case 0: // drop it
		m.arrivals = slices.Delete(m.arrivals, at, at+1)
		m.want.matched--
		m.want.missing++
	case 1: // something else
		data := m.frame(50)
		m.arrivals = slices.Insert(m.arrivals, at, arrival{stream.Packet{Time: a.Time, Data: data, WireLength: uint32(len(data)), LinkType: stream.LinkTypeEthernet}, -1})
		m.want.extra++
	case 2: // swap it with the next one, unless that is like others
		if m.arrivals[at+1].number%10 != 5 {
			m.move(at, at+1)
		}
	case 3: // delay it
		m.move(at, min(at+1+m.IntN(20), len(m.arrivals)-1))
	case 4: // double it
		to := min(at+1+m.IntN(5), len(m.arrivals)-1)
		copied := *a
		copied.Data, copied.number, copied.Time = bytes.Clone(a.Data), -1, m.arrivals[to].Time
		m.arrivals = slices.Insert(m.arrivals, to, copied)
		m.want.duplicated++
	case 5:
		alter(&m.want.fields.Payload, headers(a.Data)+m.IntN(len(a.Data)-headers(a.Data)))
	case 6:
		offset := 22
		if ipv6 {
			offset = 21
		} else {
			m.want.fields.Checksum++
			a.Data[24]++
		}
		alter(&m.want.fields.TTL, offset)
	case 7:
		if p := a.Data[23]; !ipv6 && (p == 6 || p == 17) || ipv6 && a.Data[20] != 1 {
			alter(&m.want.fields.Port, headers(a.Data)-map[bool]int{true: 20, false: 8}[p == 6 && !ipv6 || ipv6 && a.Data[20] == 6]+m.IntN(4))
		}
	case 8:
		offset := 26
		if ipv6 {
			offset = 22
		}
		alter(&m.want.fields.Address, offset+m.IntN(8))
	case 9:
		alter(&m.want.fields.MAC, m.IntN(12))
	case 10: // cut
		if keep := headers(a.Data) + m.IntN(20); keep < len(a.Data) {
			a.Data = a.Data[:keep]
			m.want.framing.Snaplen++
		}
	case 11: // pad
		if len(a.Data) < 60 {
			a.Data = append(a.Data, make([]byte, 60-len(a.Data))...)
			a.WireLength = 60
			m.want.framing.Padding++
		}
	case 12: // an FCS, behind the padding
		if len(a.Data) < 60 {
			a.Data = append(a.Data, make([]byte, 60-len(a.Data))...)
			m.want.framing.Padding++
		}
		a.Data = binary.LittleEndian.AppendUint32(a.Data, crc32.ChecksumIEEE(a.Data))
		a.WireLength = uint32(len(a.Data))
		m.want.framing.FCS++
	case 13: // a tag
		a.Data = slices.Insert(a.Data, 12, 0x81, 0, 0, byte(m.IntN(256)))
		a.WireLength += 4
		m.want.framing.VLANTag++
	case 14: // DSCP
		if !ipv6 {
			alter(&m.want.fields.TOS, 15)
		}
	}
}

// move has a packet come later: at the time of the one at that place.
func (m *mixture) move(from, to int) {
	moved := m.arrivals[from]
	moved.Time = m.arrivals[to].Time
	m.arrivals = slices.Insert(slices.Delete(m.arrivals, from, from+1), to, moved)
}

// capture is what came.
func (m *mixture) capture() (packets []stream.Packet) {
	for _, a := range m.arrivals {
		packets = append(packets, a.Packet)
	}
	return packets
}

// reordering is that of RFC 4737, as it is written there.
func reordering(arrivals []arrival) (reordered, extent int64) {
	var numbers []int
	next := 0
	for _, a := range arrivals {
		if a.number < 0 {
			continue
		}
		if a.number >= next {
			next = a.number + 1
		} else {
			reordered++
			first := slices.IndexFunc(numbers, func(earlier int) bool { return earlier > a.number })
			extent = max(extent, int64(len(numbers)-first))
		}
		numbers = append(numbers, a.number)
	}
	return reordered, extent
}

// Every count is exact, however packets were changed, and however little memory there is.
func TestMixtures(t *testing.T) {
	for seed := range uint64(1000) {
		m := newMixture(seed)
		options := compare.Options{Events: 1000}
		if seed%2 == 0 {
			options.Memory = 1
		}
		r := mustCompare(t, m.reference, m.capture(), options)
		if got := countsOf(r); got != m.want {
			t.Errorf("seed %d: got\n%+v, wanted\n%+v", seed, got, m.want)
		}
		if int64(len(r.Missing)) != m.want.missing || int64(len(r.Extra)) != m.want.extra {
			t.Errorf("seed %d: %d and %d events, wanted %d and %d", seed, len(r.Missing), len(r.Extra), m.want.missing, m.want.extra)
		}
		if t.Failed() && seed > 2000 {
			t.FailNow()
		}
	}
}

package main

import (
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool/tooltest"
)

// pcapng returns a capture with packets of any times, in units of 10^-resolution seconds from
// offset seconds on: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3.
func pcapng(resolution byte, offset int64, times ...uint64) []byte {
	order := binary.LittleEndian
	block := func(kind uint32, body []byte) []byte {
		size := uint32(len(body) + 12)
		b := order.AppendUint32(order.AppendUint32(nil, kind), size)
		return order.AppendUint32(append(b, body...), size)
	}
	section := order.AppendUint32(nil, 0x1a2b3c4d)
	section = order.AppendUint64(order.AppendUint32(section, 1), math.MaxUint64) // version 1.0, length not known
	data := block(0x0a0d0d0a, section)
	description := order.AppendUint32(order.AppendUint32(nil, 1), 65535) // Ethernet, snapshot length
	description = append(description, 9, 0, 1, 0, resolution, 0, 0, 0)   // if_tsresol
	description = append(description, 14, 0, 8, 0)                       // if_tsoffset
	description = order.AppendUint32(order.AppendUint64(description, uint64(offset)), 0)
	data = append(data, block(1, description)...)
	for _, time := range times {
		packet := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, 0), uint32(time>>32)), uint32(time))
		packet = order.AppendUint32(order.AppendUint32(packet, 60), 60)
		data = append(data, block(6, append(packet, make([]byte, 60)...))...)
	}
	return data
}

// pcap returns a capture with packets of any seconds and fractions of them.
func pcap(magic uint32, times ...[2]uint32) []byte {
	order := binary.LittleEndian
	data := order.AppendUint32(nil, magic)
	data = append(data, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 1, 0, 0, 0)
	for _, time := range times {
		data = order.AppendUint32(order.AppendUint32(data, time[0]), time[1])
		data = order.AppendUint32(order.AppendUint32(data, 60), 60)
		data = append(data, make([]byte, 60)...)
	}
	return data
}

// Whatever the times of packets are, all of them come out or are counted.
func TestPacketsAtTheEndsOfTimeAreCounted(t *testing.T) {
	const last = math.MaxUint32
	for name, capture := range map[string]struct {
		data    []byte
		packets int64
	}{
		"end of signed nanoseconds":    {pcapng(9, 0, math.MaxInt64-1, math.MaxInt64, math.MaxInt64), 3},
		"beyond signed nanoseconds":    {pcapng(9, 0, 1<<63, 1<<63+5), 2},
		"end of unsigned nanoseconds":  {pcapng(9, 0, math.MaxUint64), 1},
		"end of unsigned microseconds": {pcapng(6, 0, math.MaxUint64, math.MaxUint64-1), 2},
		"seconds":                      {pcapng(0, 0, math.MaxUint64, 1<<62), 2},
		"start and end":                {pcapng(9, 0, 0, math.MaxInt64), 2},
		"end and start":                {pcapng(9, 0, math.MaxInt64, 0, math.MaxInt64, 5), 4},
		"before 1970":                  {pcapng(9, -1000, 0, 5), 2},
		"start of nanoseconds":         {pcapng(9, math.MinInt64/1_000_000_000, 0, 5), 2},
		"before nanoseconds":           {pcapng(9, math.MinInt64, 0, 5), 2},
		"start and end of offsets":     {append(pcapng(9, math.MinInt64, 0), pcapng(9, math.MaxInt64, 0)...), 2},
		"end of pcap":                  {pcap(0xa1b23c4d, [2]uint32{last, 999_999_999}, [2]uint32{last, 0}), 2},
		"beyond the end of pcap":       {pcap(0xa1b23c4d, [2]uint32{last, last}), 1},
		"beyond, in microseconds":      {pcap(0xa1b2c3d4, [2]uint32{last, last}, [2]uint32{last, 999_999}), 2},
		"start of pcap":                {pcap(0xa1b2c3d4, [2]uint32{0, 0}), 1},
	} {
		path := filepath.Join(t.TempDir(), "capture")
		if err := os.WriteFile(path, capture.data, 0o666); err != nil {
			t.Fatal(err)
		}
		records, err := exec.Command("pcap-map", path).Output()
		if err != nil {
			t.Fatal(name, err)
		}
		for _, flags := range [][]string{{}, {"--pcapng"}, {"--pcapng", "--loop", "3"}, {"--from", "2020-01-01"}, {"--to", "2020-01-01"}, {"--reorder", "0s"}, {"--dedup"}} {
			for _, source := range [][]string{{"--select", "-"}, {"--", path}} {
				report := filepath.Join(t.TempDir(), "report")
				args := append(append([]string{"--report", report}, flags...), source...)
				tooltest.Run(merger(), records, args...)
				s := lab.SummaryOf[record.MergeSummary](t, report)
				counted := s.PacketsOut + s.OutOfRange + s.Unwritable + s.Duplicates
				isOutOfRange := s.Inputs == 0 && (slices.Contains(flags, "--from") || slices.Contains(flags, "--to")) // as the record says
				if s.PacketsIn != counted || s.Interrupted != 0 || s.PacketsIn%capture.packets != 0 || s.PacketsIn == 0 && !isOutOfRange {
					t.Errorf("%s, %v: %+v", name, args, s)
				}
			}
		}
	}
}

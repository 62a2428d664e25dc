package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"pcap-replay/stream"
)

// Millions of interfaces above the limit cost a few damages, which count every lost byte. The
// packet behind them is read.
func TestReportsSurplusInterfacesTogether(t *testing.T) {
	const limit, surplus = 1 << 16, 2_000_000
	block := func(kind uint32, body []byte) []byte {
		length := uint32(len(body) + 12)
		b := binary.LittleEndian.AppendUint32(nil, kind)
		b = binary.LittleEndian.AppendUint32(b, length)
		return binary.LittleEndian.AppendUint32(append(b, body...), length)
	}
	section := block(0x0a0d0d0a, []byte{0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})
	ethernet := block(1, []byte{1, 0, 0, 0, 0, 0, 1, 0})
	packet := block(6, append(make([]byte, 12), 4, 0, 0, 0, 4, 0, 0, 0, 'd', 'a', 't', 'a'))
	first := int64(len(section) + limit*len(ethernet))

	for _, test := range []struct {
		name  string
		parts [][]byte
		lost  int64
		times int // damages
	}{
		{"exactly the limit", [][]byte{section, bytes.Repeat(ethernet, limit), packet}, 0, 0},
		{"one more", [][]byte{section, bytes.Repeat(ethernet, limit+1), packet}, int64(len(ethernet)), 1},
		{"millions", [][]byte{section, bytes.Repeat(ethernet, limit+surplus), packet}, surplus * int64(len(ethernet)), 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := stream.NewReader(bytes.NewReader(bytes.Join(test.parts, nil)))
			defer r.Close()
			packets, damages, lost := 0, 0, int64(0)
			batch := make([]stream.Packet, 8)
			for {
				n, err := r.Read(batch)
				packets += n
				if errors.Is(err, io.EOF) {
					break
				}
				var damage *stream.Damage
				if errors.As(err, &damage) {
					if damages == 0 && damage.Offset != first || !strings.Contains(damage.Reason, "over 65536 interfaces") {
						t.Errorf("%v, wanted offset %d", damage, first)
					}
					damages++
					lost += damage.Lost
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if packets != 1 || damages != test.times || lost != test.lost {
				t.Errorf("%d packets, %d damages, %d bytes lost; wanted 1, %d and %d", packets, damages, lost, test.times, test.lost)
			}
		})
	}
}

package stream_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// directed returns packets of all directions and paddings.
func directed() []stream.Packet {
	packets := lab.Packets(30, lab.Start, time.Millisecond, 64)
	for i := range packets {
		packets[i].Data = packets[i].Data[:64-i%4]
		packets[i].Direction = stream.Direction(i % 3)
	}
	return packets
}

func directionsOf(packets []stream.Packet) (all []byte) {
	for i := range packets {
		all = append(all, byte('0'+packets[i].Direction))
	}
	return all
}

// Wireshark reads the directions that are written, and the Reader reads those that Wireshark
// writes, also behind another option.
func TestDirectionsAreThoseOfWireshark(t *testing.T) {
	lab.NeedProgram(t, "tshark", "editcap")
	var file bytes.Buffer
	w := newWriter(&file, stream.WriterOptions{PcapNG: true})
	if err := w.Write(directed()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	ours, theirs := filepath.Join(folder, "ours.pcapng"), filepath.Join(folder, "theirs.pcapng")
	if err := os.WriteFile(ours, file.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	printed, err := exec.Command("tshark", "-nr", ours, "-T", "fields", "-e", "frame.packet_flags").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Split(strings.TrimSuffix(string(printed), "\n"), "\n")
	want := directed()
	if len(words) != len(want) {
		t.Fatalf("tshark reads %d packets, wanted %d", len(words), len(want))
	}
	for i, word := range words {
		if wanted := [...]string{"", "0x00000001", "0x00000002"}[want[i].Direction]; word != wanted {
			t.Errorf("packet %d has the flags %q in tshark, wanted %q", i+1, word, wanted)
		}
	}
	if output, err := exec.Command("editcap", "-a", "2:a comment", "-a", "3:another", ours, theirs).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got := directionsOf(lab.ReadCapture(t, theirs)); !bytes.Equal(got, directionsOf(want)) {
		t.Errorf("directions %s, wanted %s", got, directionsOf(want))
	}
}

// option is an option of a block, with its value in words of 32 bits.
type option struct {
	code, length uint16
	value        []uint32
}

// The options of a packet block are read in both byte orders. Options that are broken, and
// the direction 3, say nothing.
func TestDirectionOptions(t *testing.T) {
	end := option{}
	for name, test := range map[string]struct {
		options []option
		want    stream.Direction
	}{
		"none":           {nil, stream.DirectionUnknown},
		"no direction":   {[]option{{2, 4, []uint32{0x10}}, end}, stream.DirectionUnknown},
		"inbound":        {[]option{{2, 4, []uint32{0x11}}, end}, stream.Inbound},
		"without an end": {[]option{{2, 4, []uint32{2}}}, stream.Outbound},
		"behind another": {[]option{{1, 3, []uint32{0x41414100}}, {2, 4, []uint32{2}}, end}, stream.Outbound},
		"behind the end": {[]option{end, {2, 4, []uint32{1}}}, stream.DirectionUnknown},
		"value 3":        {[]option{{2, 4, []uint32{3}}, end}, stream.DirectionUnknown},
		"wrong length":   {[]option{{2, 2, []uint32{1}}, end}, stream.DirectionUnknown},
		"too long":       {[]option{{2, 40, []uint32{1}}}, stream.DirectionUnknown},
	} {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			packets := lab.ReadPackets(t, bytes.NewReader(pcapngWith(order, test.options)))
			if len(packets) != 2 || packets[0].Direction != test.want || packets[1].Direction != stream.DirectionUnknown {
				t.Errorf("%s, %s: %+v, wanted direction %d", name, order, packets, test.want)
			}
		}
	}
}

// pcapngWith returns a capture with a packet that has these options and one that has none.
func pcapngWith(order binary.AppendByteOrder, options []option) (file []byte) {
	block := func(kind uint32, body []byte) {
		length := uint32(12 + len(body))
		file = order.AppendUint32(order.AppendUint32(file, kind), length)
		file = order.AppendUint32(append(file, body...), length)
	}
	words := func(words ...uint32) (body []byte) {
		for _, word := range words {
			body = order.AppendUint32(body, word)
		}
		return body
	}
	version := order.AppendUint16(order.AppendUint16(words(0x1a2b3c4d), 1), 0)
	block(0x0a0d0d0a, append(version, words(0xffffffff, 0xffffffff)...))
	block(1, append(order.AppendUint16(order.AppendUint16(nil, 1), 0), words(0)...)) // Ethernet
	packet := append(words(0, 0x0005af31, 0x07a40000, 61, 61), make([]byte, 64)...)
	withOptions := bytes.Clone(packet)
	for _, o := range options {
		withOptions = order.AppendUint16(order.AppendUint16(withOptions, o.code), o.length)
		withOptions = append(withOptions, words(o.value...)...)
	}
	block(6, withOptions)
	block(6, packet)
	return file
}

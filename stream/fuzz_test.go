package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// addSeeds returns one capture of every layout and format, and two in a row.
func addSeeds(f *testing.F) {
	packets := lab.Packets(4, lab.Start, time.Millisecond, 60)
	for _, l := range layouts {
		file := lab.Pcap(packets, l.order, l.nanoseconds)
		f.Add(file)
		f.Add(append(file, file...))
	}
	for _, options := range writerOptions {
		var file bytes.Buffer
		w := newWriter(&file, options)
		if err := errors.Join(w.Write(packets), w.Close()); err != nil {
			f.Fatal(err)
		}
		f.Add(file.Bytes())
	}
}

// FuzzReader: any bytes are read to their end, the same in any pieces, and every
// byte of a plain pcap is a header, a packet or lost.
func FuzzReader(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		defer time.AfterFunc(10*time.Second, func() { panic("hangs") }).Stop()
		r := stream.NewReader(bytes.NewReader(file))
		got := readAll(r, 16)
		r.Close()
		if got.err != nil && !errors.Is(got.err, stream.ErrNotCapture) {
			t.Fatalf("error %v", got.err)
		}
		pieces := stream.NewReaderSize(iotest.OneByteReader(bytes.NewReader(file)), 1)
		again := readAll(pieces, 3)
		pieces.Close()
		if again.digest != got.digest {
			t.Fatalf("byte by byte: %d packets, damage %q; at once: %d packets, damage %q", again.packets, again.damage, got.packets, got.damage)
		}
	})
}

// FuzzPcap and FuzzPcapNG keep the file header, so that the records are reached.
func FuzzPcap(f *testing.F) {
	f.Add([]byte{}, false, false)
	f.Add(lab.Pcap(lab.Packets(3, lab.Start, 0, 60), binary.LittleEndian, true)[24:], false, true)
	f.Add(lab.Pcap(lab.Packets(3, lab.Start, 0, 60), binary.BigEndian, false)[24:], true, false)
	f.Fuzz(func(t *testing.T, records []byte, bigEndian, nanoseconds bool) {
		order := binary.AppendByteOrder(binary.LittleEndian)
		if bigEndian {
			order = binary.BigEndian
		}
		checkNothingIsLost(t, append(lab.Pcap(nil, order, nanoseconds), records...))
	})
}

func FuzzPcapNG(f *testing.F) {
	var file bytes.Buffer
	w := newWriter(&file, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(lab.Packets(3, lab.Start, 0, 60)), w.Close()); err != nil {
		f.Fatal(err)
	}
	const header = 28 + 32
	f.Add(file.Bytes()[header:])
	f.Fuzz(func(t *testing.T, blocks []byte) {
		got := readAll(stream.NewReader(bytes.NewReader(append(file.Bytes()[:header:header], blocks...))), 16)
		if got.err != nil {
			t.Fatal(got.err)
		}
	})
}

// checkNothingIsLost adds up a plain pcap: headers, packets and what is told as
// lost make up at least all of its bytes. (More, where a record overlapped others.)
func checkNothingIsLost(t *testing.T, file []byte) {
	t.Helper()
	r := stream.NewReader(bytes.NewReader(file))
	defer r.Close()
	batch := make([]stream.Packet, 16)
	accounted := int64(0)
	for {
		n, err := r.Read(batch)
		for _, p := range batch[:n] {
			accounted += 16 + int64(len(p.Data))
		}
		var damage *stream.Damage
		if errors.As(err, &damage) {
			accounted += damage.Lost
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Section().Compression != stream.Uncompressed || r.Section().Format > stream.FormatPcapNano {
			return // another capture begins in the middle: other headers
		}
	}
	if r.LinkTypes() != nil && r.Section().Format <= stream.FormatPcapNano {
		accounted += 24 * int64(r.Sections())
	}
	if accounted < int64(len(file)) {
		t.Fatalf("%d of %d bytes are accounted for", accounted, len(file))
	}
}

package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// Reading packet by packet, with the damage in its place.
func ExampleReader_Packets() {
	file := lab.Pcap(lab.Packets(3, lab.Start, time.Second, 60), binary.LittleEndian, true)
	r := stream.NewReader(bytes.NewReader(file[:len(file)-10]))
	for packet, err := range r.Packets() {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(time.Unix(0, packet.Time).UTC(), packet.LinkType, packet.WireLength)
	}
	// Output:
	// 2020-09-13 12:26:40 +0000 UTC EN10MB 60
	// 2020-09-13 12:26:41 +0000 UTC EN10MB 60
	// offset 176: record 3: record: wanted 76 bytes, got 66 (66 bytes lost)
}

// Copying in batches. The writer is flushed when the reader would wait, so that
// a live stream flows.
func ExampleReader_Read() {
	file := lab.Pcap(lab.Packets(1000, lab.Start, time.Second, 60), binary.LittleEndian, true)
	var copied bytes.Buffer
	r := stream.NewReader(bytes.NewReader(file))
	w := stream.NewWriter(&copied, stream.WriterOptions{Compression: stream.LZ4})
	batch := make([]stream.Packet, 64)
	for {
		n, err := r.Read(batch)
		if err := w.Write(batch[:n]); err != nil {
			log.Fatal(err)
		}
		if !r.Buffered() {
			if err := w.Flush(); err != nil {
				log.Fatal(err)
			}
		}
		var damage *stream.Damage
		switch {
		case errors.As(err, &damage):
			log.Print(damage)
		case err == io.EOF:
			fmt.Println(w.Close(), copied.Len() < len(file))
			return
		case err != nil:
			log.Fatal(err)
		}
	}
	// Output: <nil> true
}

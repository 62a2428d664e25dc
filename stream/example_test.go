package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"pcap-replay/stream"
)

// Write three packets, one second apart, and read them again. The end of the
// capture is missing, so the third packet is damage.
func ExampleReader_Packets() {
	var capture bytes.Buffer
	w, err := stream.NewWriter(&capture, stream.WriterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	start := time.Date(2020, 9, 13, 12, 26, 40, 0, time.UTC)
	for i := range 3 {
		packet := stream.Packet{
			Time:       start.Add(time.Duration(i) * time.Second).UnixNano(),
			Data:       make([]byte, 60),
			WireLength: 60,
			LinkType:   stream.LinkTypeEthernet,
		}
		if err := w.Write([]stream.Packet{packet}); err != nil {
			log.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	capture.Truncate(capture.Len() - 10)
	r := stream.NewReader(&capture)
	defer r.Close()
	for packet, err := range r.Packets() {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(packet.Timestamp(), packet.LinkType, packet.WireLength)
	}
	// Output:
	// 2020-09-13 12:26:40 +0000 UTC EN10MB 60
	// 2020-09-13 12:26:41 +0000 UTC EN10MB 60
	// offset 176: record 3: record: wanted 76 bytes, got 66 (66 bytes lost)
}

// Copy a stream in batches. The writer is flushed before the reader may wait, so
// that the packets of a live stream arrive at once.
func ExampleReader_Read() {
	var capture, copied bytes.Buffer
	w, err := stream.NewWriter(&capture, stream.WriterOptions{PcapNG: true})
	if err != nil {
		log.Fatal(err)
	}
	packet := stream.Packet{Data: make([]byte, 60), WireLength: 60, LinkType: stream.LinkTypeEthernet}
	if err := errors.Join(w.Write([]stream.Packet{packet, packet}), w.Close()); err != nil {
		log.Fatal(err)
	}

	r := stream.NewReader(&capture)
	defer r.Close()
	w, err = stream.NewWriter(&copied, stream.WriterOptions{Compression: stream.LZ4})
	if err != nil {
		log.Fatal(err)
	}
	batch := make([]stream.Packet, 64)
	packets := 0
	for {
		n, err := r.Read(batch)
		if err == io.EOF {
			break
		}
		var damage *stream.Damage
		if errors.As(err, &damage) {
			log.Print(damage)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		packets += n
		if err := w.Write(batch[:n]); err != nil {
			log.Fatal(err)
		}
		if !r.Buffered() {
			if err := w.Flush(); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(packets, r.Section().Format, stream.DetectCompression(copied.Bytes()))
	// Output: 2 pcapng lz4
}

// Write a compressed capture that has no packets.
func ExampleWriter() {
	var capture bytes.Buffer
	w, err := stream.NewWriter(&capture, stream.WriterOptions{
		Compression: stream.Zstd,
		LinkType:    stream.LinkTypeRaw,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	r := stream.NewReader(&capture)
	defer r.Close()
	_, err = r.Read(make([]stream.Packet, 1))
	section := r.Section()
	fmt.Println(err, section.Format, section.Compression, section.LinkTypes)
	// Output: EOF pcap-ns zstd [RAW]
}

// Open a file and count its packets.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "capture.pcap")
	file, err := os.Create(path)
	if err != nil {
		log.Fatal(err)
	}
	w, err := stream.NewWriter(file, stream.WriterOptions{})
	if err != nil {
		log.Fatal(err)
	}
	packet := stream.Packet{Data: []byte("frame"), WireLength: 5, LinkType: stream.LinkTypeEthernet}
	if err := errors.Join(w.Write([]stream.Packet{packet}), w.Close(), file.Close()); err != nil {
		log.Fatal(err)
	}

	r, err := stream.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	packets := 0
	for _, err := range r.Packets() {
		if err != nil {
			log.Fatal(err)
		}
		packets++
	}
	fmt.Println(packets)
	// Output: 1
}

// Decompress data without naming its compression.
func ExampleDecompress() {
	var compressed bytes.Buffer
	w, err := stream.Compress(&compressed, stream.Gzip)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(w, "any data"); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	plain, compression, err := stream.Decompress(&compressed)
	if err != nil {
		log.Fatal(err)
	}
	defer plain.Close()
	data, err := io.ReadAll(plain)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", compression, data)
	// Output: gzip: any data
}

//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

const (
	workers        = 8
	flowsPerWorker = 64
	meanGap        = 10e3 // nanoseconds between packets of the whole set
)

// makeSet writes what workers leave that share the flows of a link and rotate
// their files out of step. Unlike lab.WorkerSet it needs no memory for it, and
// its payload compresses about as that of real captures.
func makeSet(folder string, size int64, files, length int) error {
	if files < workers {
		return fmt.Errorf("wanted at least %d files, got %d", workers, files)
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	var all [workers]*worker
	for i := range all {
		all[i] = &worker{
			folder: folder, index: i, share: size / workers,
			files: files*(i+1)/workers - files*i/workers,
		}
	}
	random := rand.New(rand.NewPCG(1, 0))
	payload := newPayload(random)
	elapsed := 0.0 // nanoseconds
	var written int64
	for sequence := uint32(0); written < size; sequence++ {
		flow := uint16(random.IntN(workers * flowsPerWorker))
		frame := lab.Frame(flow, sequence, frameLength(length, random))
		payload.fill(frame[46:], flow)
		frame[40], frame[41] = 0, 0 // without a UDP checksum: RFC 768
		written += int64(16 + len(frame))
		if err := all[flow%workers].write(lab.Start+int64(elapsed), frame); err != nil {
			return err
		}
		elapsed += 1 + random.ExpFloat64()*meanGap // no two times are equal: mergecap is not stable
	}
	var errs []error
	for _, w := range all {
		errs = append(errs, w.close())
	}
	return errors.Join(errs...)
}

// frameLength draws from the Internet mix, unless all frames are of one length.
func frameLength(length int, random *rand.Rand) int {
	if length > 0 {
		return length
	}
	switch draw := random.IntN(12); {
	case draw < 7:
		return 60
	case draw < 11:
		return 590
	}
	return 1514
}

// worker writes its share of the set into files of its own.
type worker struct {
	folder  string
	index   int
	share   int64 // bytes, of all its files
	files   int
	written int64
	number  int // of the file after the open one
	file    *os.File
	out     *bufio.Writer
}

func (w *worker) write(time int64, frame []byte) error {
	// The first file is shorter, by another part with each worker.
	phase := float64(w.index) / workers
	wanted := int(phase + float64(w.written)/float64(w.share)*(float64(w.files)-phase))
	if w.file == nil || wanted >= w.number && w.number < w.files {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	packet := stream.Packet{Time: time, Data: frame, WireLength: uint32(len(frame)), LinkType: stream.LinkTypeEthernet}
	w.written += int64(16 + len(frame))
	return writeRecord(w.out, packet)
}

func (w *worker) rotate() error {
	if err := w.close(); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(w.folder, fmt.Sprintf("worker%d-%05d.pcap", w.index, w.number)))
	if err != nil {
		return err
	}
	w.file, w.out = file, bufio.NewWriterSize(file, 256<<10)
	w.number++
	_, err = w.out.Write(lab.Pcap(nil, binary.LittleEndian, true))
	return err
}

func (w *worker) close() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.out.Flush(), w.file.Close())
}

// writeRecord writes a record of a pcap with nanoseconds.
func writeRecord(w *bufio.Writer, packet stream.Packet) error {
	var header [16]byte
	binary.LittleEndian.PutUint32(header[0:], uint32(packet.Time/1e9))
	binary.LittleEndian.PutUint32(header[4:], uint32(packet.Time%1e9))
	binary.LittleEndian.PutUint32(header[8:], uint32(len(packet.Data)))
	binary.LittleEndian.PutUint32(header[12:], packet.WireLength)
	_, _ = w.Write(header[:]) // the error comes again
	_, err := w.Write(packet.Data)
	return err
}

// payload is what frames carry: text in two thirds of the flows, and noise, as of
// encrypted traffic, in the others.
type payload struct {
	random *rand.Rand
	text   []byte
}

func newPayload(random *rand.Rand) *payload {
	words := make([][]byte, 4096)
	for i := range words {
		word := make([]byte, 2+random.IntN(10))
		for j := range word {
			word[j] = byte('a' + random.IntN(26))
		}
		words[i] = append(word, ' ')
	}
	usual := rand.NewZipf(random, 1.1, 4, uint64(len(words)-1))
	p := &payload{random: random}
	for len(p.text) < 4<<20 {
		p.text = append(p.text, words[usual.Uint64()]...)
	}
	return p
}

func (p *payload) fill(dst []byte, flow uint16) {
	if flow/workers%3 > 0 {
		copy(dst, p.text[p.random.IntN(len(p.text)-len(dst)):])
		return
	}
	for ; len(dst) >= 8; dst = dst[8:] {
		binary.LittleEndian.PutUint64(dst, p.random.Uint64())
	}
}

package stream_test

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// newWriter panics if there is no such writer.
func newWriter(dst io.Writer, options stream.WriterOptions) *stream.Writer {
	w, err := stream.NewWriter(dst, options)
	if err != nil {
		panic(err)
	}
	return w
}

func TestNewWriterRefusesACompressionThatIsOnlyRead(t *testing.T) {
	for _, compression := range []stream.Compression{stream.XZ, stream.Bzip2} {
		if w, err := stream.NewWriter(io.Discard, stream.WriterOptions{Compression: compression}); err == nil || w != nil {
			t.Errorf("%s: writer %v, error %v", compression, w, err)
		}
	}
}

var writerOptions = map[string]stream.WriterOptions{
	"pcap":                         {},
	"pcapng":                       {PcapNG: true},
	"pcap gzip":                    {Compression: stream.Gzip},
	"pcap lz4":                     {Compression: stream.LZ4},
	"pcap zstd":                    {Compression: stream.Zstd},
	"pcapng zstd":                  {PcapNG: true, Compression: stream.Zstd},
	"background":                   {Background: true},
	"pcapng lz4 in the background": {Background: true, PcapNG: true, Compression: stream.LZ4},
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	packets := lab.Packets(2000, lab.Start+7, 1234567*time.Nanosecond, 61)
	for i := range packets {
		packets[i].Data = packets[i].Data[:len(packets[i].Data)-i%7] // cut, and of every padding
	}
	packets = append(packets, stream.Packet{Time: lab.Start, Data: make([]byte, stream.MaxCaptureLength), WireLength: 1 << 20, LinkType: stream.LinkTypeEthernet})
	for name, options := range writerOptions {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			var written, size int64
			options.Written = func(packets, bytes int64) { written, size = written+packets, size+bytes }
			w := newWriter(&file, options)
			if err := errors.Join(w.Write(packets[:700]), w.Flush(), w.Flush(), w.Write(nil), w.Write(packets[700:]), w.Close()); err != nil {
				t.Fatal(err)
			}
			r := stream.NewReader(&file)
			defer r.Close()
			i, bytesRead := 0, int64(0)
			for p, err := range r.Packets() {
				if err != nil {
					t.Fatal(err)
				}
				want := &packets[i]
				if p.Time != want.Time || !bytes.Equal(p.Data, want.Data) || p.WireLength != want.WireLength || p.LinkType != want.LinkType {
					t.Fatalf("packet %d: %+v, wanted %+v", i, p, want)
				}
				i++
				bytesRead += int64(len(p.Data))
			}
			if written != int64(len(packets)) || size != bytesRead {
				t.Errorf("%d packets of %d bytes written, %d of %d read", written, size, i, bytesRead)
			}
			if i != len(packets) || r.Section().Compression != options.Compression {
				t.Errorf("%d packets, wanted %d; compression %s", i, len(packets), r.Section().Compression)
			}
		})
	}
}

// What was written before a Flush can be read before anything follows.
func TestFlushReachesALiveReader(t *testing.T) {
	packets := lab.Packets(3, lab.Start, time.Second, 100)
	for name, options := range writerOptions {
		t.Run(name, func(t *testing.T) {
			in, out := io.Pipe()
			next := make(chan int, 1) // the end of a flush may stay in the pipe until more is wanted
			go func() {
				w := newWriter(out, options)
				for i := range next {
					if err := errors.Join(w.Write(packets[i:i+1]), w.Flush()); err != nil {
						t.Error(err)
					}
				}
				out.CloseWithError(w.Close())
			}()
			r := stream.NewReader(in)
			defer r.Close()
			batch := make([]stream.Packet, 8)
			for i := range packets {
				next <- i
				n, err := r.Read(batch)
				if n != 1 || err != nil || batch[0].Time != packets[i].Time {
					t.Fatalf("packet %d: %d packets, error %v", i, n, err)
				}
			}
			close(next)
			if n, err := r.Read(batch); n != 0 || err != io.EOF {
				t.Errorf("at the end: %d packets, error %v", n, err)
			}
		})
	}
}

// What is counted as written can be read, whatever becomes of the rest.
func TestWrittenPacketsCanBeRead(t *testing.T) {
	packets := lab.Packets(2000, lab.Start, time.Microsecond, 1000)
	for name, options := range writerOptions {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			var written int64
			calls := 0
			options.Background = false
			options.Written = func(count, _ int64) {
				calls++
				written += count
				if readable := lab.CountPackets(bytes.Clone(file.Bytes())); int64(readable) != written {
					t.Errorf("%d packets are counted, and %d can be read", written, readable)
				}
			}
			w := newWriter(&file, options)
			if err := errors.Join(w.Write(packets), w.Close()); err != nil || written != int64(len(packets)) || calls < 3 {
				t.Errorf("%d packets in %d blocks, %v", written, calls, err)
			}
		})
	}
}

// fullDisk takes some bytes.
type fullDisk struct {
	bytes.Buffer
	room int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), d.room-d.Len())
	d.Buffer.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

// Packets that a disk took before it was full are counted as written.
func TestFullDisksCountWhatTheyTake(t *testing.T) {
	packets := lab.Packets(1000, lab.Start, time.Microsecond, 999)
	for name, options := range writerOptions {
		for room := 0; room < 600_000; room += 11_111 {
			disk := fullDisk{room: room}
			var written, size int64
			options.Written = func(count, bytes int64) { written, size = written+count, size+bytes }
			w := newWriter(&disk, options)
			err := errors.Join(w.Write(packets), w.Close())
			got := int64(lab.CountPackets(disk.Bytes()))
			isExact := options.Compression == stream.Uncompressed || err == nil
			if isExact && got != written || got < written || size != written*999 {
				t.Errorf("%s, room for %d bytes: %d packets are there, %d of %d bytes are counted", name, room, got, written, size)
			}
		}
	}
}

func TestWriterWithoutPacketsWritesAHeader(t *testing.T) {
	for name, options := range writerOptions {
		options.LinkType = stream.LinkTypeRaw
		var file bytes.Buffer
		if err := newWriter(&file, options).Close(); err != nil {
			t.Fatal(err)
		}
		r := stream.NewReader(&file)
		if got := readAll(r, 8); got.err != nil || r.Sections() != 1 || !options.PcapNG && got.linkTypes != "101" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestLinkTypesDoNotMixInAPcap(t *testing.T) {
	packets := lab.Packets(3, lab.Start, 0, 60)
	packets[2].LinkType = stream.LinkTypeRaw
	var mixed *stream.LinkTypeError
	var file bytes.Buffer
	w := newWriter(&file, stream.WriterOptions{})
	if err := w.Write(packets); !errors.As(err, &mixed) || mixed.First != stream.LinkTypeEthernet || mixed.Other != stream.LinkTypeRaw {
		t.Errorf("pcap: %v", err)
	}
	if got := readAll(stream.NewReader(&file), 8); got.packets != 2 {
		t.Errorf("%d packets before the other link type, wanted 2", got.packets)
	}
	file.Reset()
	w = newWriter(&file, stream.WriterOptions{PcapNG: true})
	if err := errors.Join(w.Write(packets), w.Close()); err != nil {
		t.Errorf("pcapng: %v", err)
	}
	if got := readAll(stream.NewReader(&file), 8); got.packets != 3 || got.linkTypes != "1+101" {
		t.Errorf("pcapng: %+v", got)
	}
}

func TestTimesThatDoNotFitAreSaid(t *testing.T) {
	for _, moment := range []int64{-1, 1 << 62} {
		packet := stream.Packet{Time: moment, LinkType: stream.LinkTypeEthernet}
		if err := newWriter(io.Discard, stream.WriterOptions{}).Write([]stream.Packet{packet}); err == nil {
			t.Errorf("time %d: no error", moment)
		}
	}
}

type failingWriter struct{ left int }

var errFull = errors.New("no space left on device")

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrorsCome(t *testing.T) {
	packets := lab.Packets(10000, lab.Start, 0, 1000)
	for name, options := range writerOptions {
		w := newWriter(&failingWriter{100}, options)
		if err := errors.Join(w.Write(packets), w.Close()); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	packets := lab.Packets(64, lab.Start, 0, 61)
	for _, options := range []stream.WriterOptions{{}, {PcapNG: true}, {Background: true}} {
		w := newWriter(io.Discard, options)
		_ = w.Write(packets)
		if allocations := testing.AllocsPerRun(1000, func() { _ = w.Write(packets) }); allocations > 0 {
			t.Errorf("%v allocations a batch", allocations)
		}
	}
}

package archive

import (
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// countingSource counts the bytes that are read.
type countingSource struct {
	Source
	bytes *atomic.Int64
}

func (s *countingSource) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.Source.ReadAt(p, offset)
	s.bytes.Add(int64(n))
	return n, err
}

// openCounting opens an archive, and counts the bytes of it that are read.
func openCounting(t *testing.T, path string, read *atomic.Int64) *Indexed {
	t.Helper()
	x, err := OpenIndexedWith(path, func(name string) (Source, error) {
		source, err := os.Open(name)
		if err != nil || name != path {
			return source, err
		}
		return &countingSource{source, read}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// To compare many small members that are not read, the archive is read about once.
func TestSkippedMembersAreReadOnce(t *testing.T) {
	tarball, _ := noisyTar(t, 500, 8000)
	data := gzipped(t, tarball)
	path := buildIndex(t, "small.tar.gz", data)
	var read atomic.Int64
	x := openCounting(t, path, &read)
	defer x.Close()
	members, err := membersOf(x)
	if err != nil {
		t.Fatal(err)
	}
	read.Store(0)
	r := x.NewReader(members)
	defer r.Close()
	for {
		if _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.CheckSkipped(); err != nil {
		t.Fatal(err)
	}
	if read.Load() > 2*int64(len(data)) {
		t.Errorf("%d bytes of an archive of %d were read", read.Load(), len(data))
	}
}

// TestSmallMembersAreReadOnce opens many small members, one after another: in the order of the
// archive, or alternately from each quarter of it, as from four workers. The archive is read about
// once, and some decoders read ahead. Two goroutines that open members in any order read the same data.
func TestSmallMembersAreReadOnce(t *testing.T) {
	const count = 1000
	tarball, pairs := noisyTar(t, count, 8000)
	for _, compression := range []stream.Compression{stream.Gzip, stream.LZ4, stream.Zstd} { // xz and bzip2 take long
		data := lab.Compressed(t, tarball, compression)
		path := buildIndex(t, "small.tar", data)
		var read atomic.Int64
		x := openCounting(t, path, &read)
		members, err := membersOf(x)
		if err != nil || len(members) != count {
			t.Fatal(len(members), err)
		}
		check := func(i int) {
			src, err := x.Open(members[i])
			if err != nil {
				t.Error(err)
				return
			}
			defer src.Close()
			got, err := io.ReadAll(src)
			if err != nil || string(got) != pairs[2*i+1] {
				t.Errorf("%v: member %d: %d bytes, %v", compression, i, len(got), err)
			}
		}
		const workers = 4
		for _, place := range []func(i int) int{
			func(i int) int { return i },
			func(i int) int { return i%workers*(count/workers) + i/workers },
		} {
			read.Store(0)
			for i := range count {
				check(place(i))
			}
			if read.Load() > 4*int64(len(data)) {
				t.Errorf("%v: %d bytes of an archive of %d were read", compression, read.Load(), len(data))
			}
		}
		var readers sync.WaitGroup
		for reader := range 2 {
			readers.Go(func() {
				random := rand.New(rand.NewPCG(uint64(reader), 1))
				for range 20 {
					check(random.IntN(count))
				}
			})
		}
		readers.Wait()
		x.Close()
		if len(resting.spans) > 0 {
			t.Errorf("%v: %d spans rest after Close", compression, len(resting.spans))
		}
	}
}

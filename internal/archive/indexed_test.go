package archive

import (
	"io"
	"os"
	"sync/atomic"
	"testing"
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

// To compare many small members that are not read, the archive is read about once.
func TestSkippedMembersAreReadOnce(t *testing.T) {
	tarball, _ := noisyTar(t, 500, 8000)
	data := gzipped(t, tarball)
	path := buildIndex(t, "small.tar.gz", data)
	var read atomic.Int64
	x, err := OpenIndexedWith(path, func(name string) (Source, error) {
		source, err := os.Open(name)
		if err != nil || name != path {
			return source, err
		}
		return &countingSource{source, &read}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
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

package archive

import (
	"bytes"
	"io"
	"testing"
)

// storedIn walks through a tarball and gives what Stored says of every member.
func storedIn(t *testing.T, r *Reader) (stored []*io.SectionReader) {
	t.Helper()
	defer r.Close()
	for {
		_, err := r.Next()
		if err == io.EOF {
			return stored
		}
		if err != nil {
			t.Fatal(err)
		}
		at, err := r.Stored()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		checkStored(t, at, nil, data, err)
		stored = append(stored, at)
	}
}

// Data stand in the file as they are where that is not compressed, wherever in it the
// tarball begins. checkIndexed sees to what an index gives.
func TestStoredIsWhatIsRead(t *testing.T) {
	tarball := makeTar(t, "a.pcap", capture(1), "b.pcap", capture(5), "empty", "")
	from := bytes.NewReader(append(make([]byte, 1000), tarball...))
	from.Seek(1000, io.SeekStart)
	for what, test := range map[string]struct {
		src    io.Reader
		stored bool
	}{
		"whole":        {bytes.NewReader(tarball), true},
		"from 1000 on": {from, true},
		"pipe":         {io.MultiReader(bytes.NewReader(tarball)), false},
		"gzip":         {bytes.NewReader(gzipped(t, tarball)), false},
	} {
		r, err := NewReader(test.src)
		if err != nil {
			t.Fatal(err)
		}
		for i, stored := range storedIn(t, r) {
			if isStored := stored != nil; isStored != test.stored {
				t.Errorf("%s: member %d is stored: %v, wanted %v", what, i+1, isStored, test.stored)
			}
		}
	}
}

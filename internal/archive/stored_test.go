package archive

import (
	"bytes"
	"io"
	"testing"
)

// storedIn walks through a tarball and returns the result of Stored for every member.
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

// Stored returns the data of an uncompressed file, wherever in the file the tarball begins.
// checkIndexed tests Stored with an index.
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

package archive

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
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
// tarball begins, and by an index as well.
func TestStoredIsWhatIsRead(t *testing.T) {
	tarball := makeTar(t, "a.pcap", capture(1), "b.pcap", capture(5), "empty", "")
	from := bytes.NewReader(append(make([]byte, 1000), tarball...))
	from.Seek(1000, io.SeekStart)
	name := filepath.Join(t.TempDir(), "set.tar")
	if err := os.WriteFile(name, tarball, 0o666); err != nil {
		t.Fatal(err)
	}
	for what, src := range map[string]io.Reader{"whole": bytes.NewReader(tarball), "from 1000 on": from} {
		r, err := NewReader(src)
		if err != nil {
			t.Fatal(err)
		}
		for i, stored := range storedIn(t, r) {
			if stored == nil {
				t.Errorf("%s: member %d is not stored", what, i+1)
			}
		}
	}
	for what, src := range map[string]io.Reader{"pipe": io.MultiReader(bytes.NewReader(tarball)), "gzip": bytes.NewReader(gzipped(t, tarball))} {
		r, err := NewReader(src)
		if err != nil {
			t.Fatal(err)
		}
		for i, stored := range storedIn(t, r) {
			if stored != nil {
				t.Errorf("%s: member %d is stored", what, i+1)
			}
		}
	}
}

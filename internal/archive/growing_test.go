package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A tarball may grow while it is read. Data that was added after it was opened is read, too,
// and the reader does not poll the file.
func TestTarballGrowsWhileItIsRead(t *testing.T) {
	var whole bytes.Buffer
	w := tar.NewWriter(&whole)
	data := make([]byte, 1<<20)
	for _, name := range []string{"first", "second"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole.Write(make([]byte, 1<<20)) // padding
	for _, size := range []int{512, 1000, 1 << 20, 1<<20 + 512, 1<<20 + 1024, 2 << 20, 2<<20 + 1024, 2<<20 + 2048} {
		name := filepath.Join(t.TempDir(), "set.tar")
		if err := os.WriteFile(name, whole.Bytes()[:size], 0o666); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		reader, err := NewReader(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, whole.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		members := 0
		for err == nil {
			if _, err = reader.Next(); err == nil {
				members++
			}
		}
		if !errors.Is(err, io.EOF) || members != 2 {
			t.Errorf("grown from %d bytes: %d members, %v", size, members, err)
		}
	}
}

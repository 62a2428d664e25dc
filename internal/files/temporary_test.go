package files

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A temporary file leaves no name in its folder. On Windows, an open file keeps its name until
// it is closed.
func TestTemporaryLeavesNoName(t *testing.T) {
	folder := t.TempDir()
	file, err := CreateTemporary(folder, "test-*")
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 && runtime.GOOS != "windows" {
		t.Errorf("open: %v, %v", entries, err)
	}
	if _, err := file.WriteAt([]byte("data"), 0); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("closed: %v, %v", entries, err)
	}
}

// A name that the file cannot get is refused before anything is written.
func TestNameTooLong(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		length int
		wanted bool
	}{{maxName, true}, {maxName + 1, false}} {
		out, err := Create(filepath.Join(folder, strings.Repeat("n", c.length)))
		if (err == nil) != c.wanted {
			t.Errorf("a name of %d bytes: %v", c.length, err)
		}
		if out != nil {
			out.Abandon()
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("%d files are left, %v", len(entries), err)
	}
}

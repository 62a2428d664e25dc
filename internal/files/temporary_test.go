package files

import (
	"os"
	"runtime"
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

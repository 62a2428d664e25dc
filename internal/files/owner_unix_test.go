//go:build unix

package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file that is replaced keeps owner, group and mode, and a hard link that is cut is said.
func TestReplacedFilesKeepTheirOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(name, nil, 0o666), os.Chown(name, 1234, 4321), os.Chmod(name, 0o640), os.Link(name, name+".other")); err != nil {
		t.Fatal(err)
	}
	out, err := Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if changes := out.Changes(); len(changes) != 1 || !strings.Contains(changes[0], "hard links") {
		t.Errorf("%q", changes)
	}
	if err := errors.Join(out.Finish(), out.Publish()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 1234 || stat.Gid != 4321 || info.Mode() != 0o640 {
		t.Errorf("owner %d, group %d, mode %v", stat.Uid, stat.Gid, info.Mode())
	}
}

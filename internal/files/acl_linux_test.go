package files

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// testList is an access control list: the owner and the user 1000 may read and write, and the
// group and others nothing. Its mask is in the group bits of the mode.
func testList() (list []byte) {
	const none = ^uint32(0)
	list = binary.LittleEndian.AppendUint32(list, 2) // the version in linux/posix_acl_xattr.h
	for _, entry := range []struct {
		tag, permissions uint16
		user             uint32
	}{{0x01, 6, none}, {0x02, 6, 1000}, {0x04, 0, none}, {0x10, 6, none}, {0x20, 0, none}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.permissions)
		list = binary.LittleEndian.AppendUint32(list, entry.user)
	}
	return list
}

// A file that is replaced keeps its access control list, or stays without one where the folder
// has one for new files.
func TestReplacedFilesKeepTheirAccessList(t *testing.T) {
	folder := t.TempDir()
	with, without := filepath.Join(folder, "with"), filepath.Join(folder, "without")
	if err := errors.Join(os.WriteFile(with, nil, 0o600), os.WriteFile(without, nil, 0o640)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Setxattr(with, accessList, testList(), 0), unix.Setxattr(folder, "system.posix_acl_default", testList(), 0)); err != nil {
		t.Skip("no access control lists here: ", err)
	}
	for _, c := range []struct {
		name, list string
		mode       os.FileMode
	}{{with, string(testList()), 0o660}, {without, "", 0o640}} {
		out, err := Create(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(out.Finish(), out.Publish()); err != nil {
			t.Fatal(err)
		}
		list := make([]byte, 1000)
		n, _ := unix.Getxattr(c.name, accessList, list)
		info, err := os.Stat(c.name)
		if err != nil || string(list[:max(n, 0)]) != c.list || info.Mode() != c.mode || len(out.Changes()) > 0 {
			t.Errorf("%s: %v, list %x, wanted %v and %x; %q, %v", c.name, info.Mode(), list[:max(n, 0)], c.mode, c.list, out.Changes(), err)
		}
	}
}

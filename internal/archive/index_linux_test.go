package archive

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The index of an archive is readable by the users in the access control list of the archive,
// and not by the group that the list shuts out.
func TestIndexHasTheAccessListOfItsArchive(t *testing.T) {
	tarball, _ := noisyTar(t, 1, 1000)
	path := buildIndex(t, "a.tar", tarball)
	const none = ^uint32(0)
	list := binary.LittleEndian.AppendUint32(nil, 2) // the version in linux/posix_acl_xattr.h
	for _, entry := range []struct {
		tag, permissions uint16
		user             uint32
	}{{0x01, 6, none}, {0x02, 4, 1000}, {0x04, 0, none}, {0x10, 4, none}, {0x20, 0, none}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.permissions)
		list = binary.LittleEndian.AppendUint32(list, entry.user)
	}
	const attribute = "system.posix_acl_access"
	if err := unix.Setxattr(path, attribute, list, 0); err != nil {
		t.Skip("no access control lists here: ", err)
	}
	if err := errors.Join(os.Remove(IndexPath(path)), indexFile(path)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1000)
	if n, err := unix.Getxattr(IndexPath(path), attribute, got); err != nil || string(got[:n]) != string(list) {
		t.Errorf("list %x, %v, wanted %x", got[:max(n, 0)], err, list)
	}
}

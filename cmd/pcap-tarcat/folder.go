package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"pcap-replay/internal/files"
)

// folder takes the files that -C makes. Nothing leaves it, neither by ".." nor by
// a symbolic link: see [os.Root].
type folder struct {
	root      *os.Root
	taken     map[string]bool // what this run has made
	temporary atomic.Pointer[string]
}

func openFolder(name string) (*folder, error) {
	if err := os.MkdirAll(name, 0o777); err != nil {
		return nil, files.WithoutPath(err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, files.WithoutPath(err)
	}
	return &folder{root: root, taken: map[string]bool{}}, nil
}

// folderFile is a file that gets its name when it is whole.
type folderFile struct {
	*os.File
	folder          *folder
	temporary, name string
}

// create makes a file for a member, and the folders above it.
func (f *folder) create(member string) (*folderFile, error) {
	name, err := f.place(member)
	if err != nil {
		return nil, err
	}
	temporary := path.Join(path.Dir(name), fmt.Sprintf(".pcap-tarcat.%08x", rand.Uint32()))
	file, err := f.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, files.WithoutPath(err)
	}
	f.temporary.Store(&temporary)
	return &folderFile{File: file, folder: f, temporary: temporary, name: name}, nil
}

// link gives a file of this run another name.
func (f *folder) link(file, member string) (name string, err error) {
	if name, err = f.place(member); err != nil {
		return "", err
	}
	_ = f.root.Remove(name) // of an earlier run
	if err := f.root.Link(file, name); err != nil {
		return "", files.WithoutPath(err)
	}
	f.taken[name] = true
	return name, nil
}

// localName is the name of a member below a folder: slashes in front of it are
// dropped, as tar does.
func localName(member string) string { return path.Clean(strings.TrimLeft(member, "/")) }

// place finds a file name for a member and makes the folders above it. A name that
// this run has used gets a number before its extension, so that no member
// overwrites another.
func (f *folder) place(member string) (string, error) {
	name := localName(member)
	if name == "." || !filepath.IsLocal(name) {
		return "", errors.New("the name leads out of the folder")
	}
	name = f.unused(name)
	if err := f.root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return "", files.WithoutPath(err)
	}
	return name, nil
}

func (f *folder) unused(name string) string {
	extension := path.Ext(name)
	if isCompressedExtension(extension) {
		extension = path.Ext(strings.TrimSuffix(name, extension)) + extension
	}
	stem := strings.TrimSuffix(name, extension)
	for i := 2; f.taken[name]; i++ {
		name = fmt.Sprintf("%s.%d%s", stem, i, extension)
	}
	return name
}

// commit gives the file its name and the time of its member.
func (f *folderFile) commit(modified time.Time) error {
	if err := f.Close(); err != nil {
		return err
	}
	_ = f.folder.root.Chtimes(f.temporary, modified, modified) // a time that the file system cannot keep is no loss
	if err := f.folder.root.Rename(f.temporary, f.name); err != nil {
		return files.WithoutPath(err)
	}
	f.folder.temporary.Store(nil)
	f.folder.taken[f.name] = true
	return nil
}

// clean removes what commit has not finished.
func (f *folder) clean() {
	if temporary := f.temporary.Swap(nil); temporary != nil {
		f.root.Remove(*temporary)
	}
}

// isFull says whether err is of the file system, and so of every file to come.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// named says where the file is that err is about.
func (f *folder) named(file string, err error) error {
	return fmt.Errorf("%s: %w", files.Display(filepath.Join(f.root.Name(), file), ""), files.WithoutPath(err))
}

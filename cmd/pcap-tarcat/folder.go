package main

import (
	"errors"
	"fmt"
	"io/fs"
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

// folder is the folder of -C. No file is written outside it, neither through ".." nor
// through a symbolic link: see [os.Root].
type folder struct {
	root      *os.Root
	made      map[string]bool   // names of this run
	folded    map[string]string // a name of this run, by itself in lower case
	numbers   map[string]int    // the next one to try for a name that is in made
	temporary atomic.Pointer[string]
	isOver    atomic.Bool // the run has ended: nothing is made any more
}

func openFolder(name string) (*folder, error) {
	if err := os.MkdirAll(name, 0o777); err != nil {
		return nil, files.WithoutPath(err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, files.WithoutPath(err)
	}
	return &folder{root: root, made: map[string]bool{}, folded: map[string]string{}, numbers: map[string]int{}}, nil
}

// folderFile is a file that gets its name when it is complete.
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
	temporary := temporaryName(name)
	file, err := f.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, files.WithoutPath(err)
	}
	f.temporary.Store(&temporary)
	if f.isOver.Load() {
		file.Close()
		f.clean()
		return nil, files.ErrShut
	}
	return &folderFile{File: file, folder: f, temporary: temporary, name: name}, nil
}

// temporaryName is the name of an incomplete file, in the folder of its final name.
func temporaryName(name string) string {
	return path.Join(path.Dir(name), fmt.Sprintf(".pcap-tarcat.%08x", rand.Uint32()))
}

// link gives a file of this run another name.
func (f *folder) link(file, member string) (name string, err error) {
	if name, err = f.place(member); err != nil {
		return "", err
	}
	temporary := temporaryName(name)
	if err := f.root.Link(file, temporary); err != nil {
		return "", files.WithoutPath(err)
	}
	defer f.root.Remove(temporary) // it stays where both names are of one file already
	if err := f.root.Rename(temporary, name); err != nil {
		return "", files.WithoutPath(err)
	}
	f.markMade(name)
	return name, nil
}

// localName is the name of a member below a folder. Leading slashes are removed, as by tar.
func localName(member string) string { return path.Clean(strings.TrimLeft(member, "/")) }

// longestPath is the longest path that Linux opens, in bytes (PATH_MAX without the zero
// byte). os.Root makes longer ones, a folder at a time, which no other program opens.
const longestPath = 4095

// place returns a file name for a member and makes the folders above it. If this run has
// already used the name, it adds a number before the extension, so that no member
// overwrites another.
func (f *folder) place(member string) (string, error) {
	name := localName(member)
	switch {
	case name == ".":
		return "", errors.New("the name is empty")
	case !filepath.IsLocal(name):
		return "", errors.New("the name leads out of the folder")
	case len(filepath.Join(f.root.Name(), name)) > longestPath:
		return "", syscall.ENAMETOOLONG
	}
	for {
		name = f.unused(name)
		info, err := f.root.Lstat(name)
		switch {
		case err == nil && info.IsDir():
			return "", syscall.EISDIR
		case err == nil && f.isMade(name, info):
			f.made[name] = true
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", files.WithoutPath(err)
		}
		if err := f.root.MkdirAll(path.Dir(name), 0o777); err != nil {
			return "", files.WithoutPath(err)
		}
		return name, nil
	}
}

// unused puts a number before the extension of a name that this run has used.
func (f *folder) unused(member string) string {
	if !f.made[member] {
		return member
	}
	extension := path.Ext(member)
	if isCompressedExtension(extension) {
		extension = path.Ext(strings.TrimSuffix(member, extension)) + extension
	}
	stem := strings.TrimSuffix(member, extension)
	for number := max(2, f.numbers[member]); ; number++ {
		if name := fmt.Sprintf("%s.%d%s", stem, number, extension); !f.made[name] {
			f.numbers[member] = number + 1
			return name
		}
	}
}

// isMade reports whether this run made a file under a name that differs only in case, which
// some file systems treat as the same name.
func (f *folder) isMade(name string, info fs.FileInfo) bool {
	other, err := f.root.Lstat(f.folded[strings.ToLower(name)])
	return err == nil && os.SameFile(info, other)
}

func (f *folder) markMade(name string) {
	f.made[name] = true
	f.folded[strings.ToLower(name)] = name
}

// commit gives the file its name and the modification time of its member.
func (f *folderFile) commit(modified time.Time) error {
	if err := f.Close(); err != nil {
		return err
	}
	_ = f.folder.root.Chtimes(f.temporary, modified, modified) // the file system may not support this time
	if err := f.folder.root.Rename(f.temporary, f.name); err != nil {
		return files.WithoutPath(err)
	}
	f.folder.temporary.Store(nil)
	f.folder.markMade(f.name)
	return nil
}

// clean removes the files that commit has not completed.
func (f *folder) clean() {
	if temporary := f.temporary.Swap(nil); temporary != nil {
		f.root.Remove(*temporary)
	}
}

// end is clean at the end of the run, after which the tool may still be in the middle of a
// member.
func (f *folder) end() {
	f.isOver.Store(true)
	f.clean()
}

// isFull reports whether err concerns the file system, so that all later files would fail,
// too.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// isTooLarge reports whether a file is larger than the file system or a limit allows. Other
// files may be smaller.
func isTooLarge(err error) bool { return errors.Is(err, syscall.EFBIG) }

// named adds the name of the file to err.
func (f *folder) named(file string, err error) error {
	return fmt.Errorf("%s: %w", files.Display(filepath.Join(f.root.Name(), file), ""), files.WithoutPath(err))
}

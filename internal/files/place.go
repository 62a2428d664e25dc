package files

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Place is where a name leads: a file, or a name in a folder under which there is not a file
// yet.
type Place struct {
	file   fs.FileInfo // nil if there is none
	folder fs.FileInfo // nil if the folder does not exist, either
	name   string      // in the folder
}

// maxLinks is the maximum number of successive symbolic links, as in Linux
// (path_resolution(7)).
const maxLinks = 40

// PlaceOf follows symbolic links, even dangling ones.
func PlaceOf(name string) Place {
	if info, err := os.Stat(name); err == nil {
		return Place{file: info}
	}
	for range maxLinks {
		target, err := os.Readlink(name)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(name), target)
		}
		name = target
	}
	folder, _ := os.Stat(filepath.Dir(name))
	return Place{folder: folder, name: filepath.Base(name)}
}

// PlaceOfStream is the place of an open file. For other streams, it is empty.
func PlaceOfStream(stream any) Place {
	file, ok := stream.(*os.File)
	if !ok {
		return Place{}
	}
	info, err := file.Stat()
	if err != nil {
		return Place{}
	}
	return Place{file: info}
}

// Is reports whether two places are the same. A file that many programs can write at once,
// such as /dev/null or a terminal, is never the same.
func (p Place) Is(other Place) bool {
	if p.file != nil {
		return other.file != nil && p.file.Mode()&fs.ModeCharDevice == 0 && os.SameFile(p.file, other.file)
	}
	return p.folder != nil && other.folder != nil && other.file == nil && p.name == other.name && os.SameFile(p.folder, other.folder)
}

// CanBeReadBack reports whether what is written to the place can be read from it: it is a
// regular file, a block device or a named pipe.
func (p Place) CanBeReadBack() bool {
	return p.file != nil && p.file.Mode()&(fs.ModeDir|fs.ModeCharDevice|fs.ModeSocket) == 0
}

// IsRegular reports whether the place is a regular file.
func (p Place) IsRegular() bool { return p.file != nil && p.file.Mode().IsRegular() }

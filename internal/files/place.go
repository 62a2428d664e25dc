package files

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Place is where a name leads: a file, or a name in a folder under which there is no file
// yet.
type Place struct {
	file   fs.FileInfo // nil where there is none
	folder fs.FileInfo // nil where there is not even that
	name   string      // in the folder
}

// maxLinks is how many symbolic links in a row are followed: as many as Linux follows
// (path_resolution(7)).
const maxLinks = 40

// PlaceOf follows symbolic links, also those that lead nowhere.
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

// PlaceOfStream is the place of an open file, and leads nowhere for other streams.
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

// Is says whether two places are the same. What can be written by many at once, such as
// /dev/null or a terminal, is as good as several places.
func (p Place) Is(other Place) bool {
	if p.file != nil {
		return other.file != nil && p.file.Mode()&fs.ModeCharDevice == 0 && os.SameFile(p.file, other.file)
	}
	return p.folder != nil && other.folder != nil && other.file == nil && p.name == other.name && os.SameFile(p.folder, other.folder)
}

// IsRegular says whether a regular file is there.
func (p Place) IsRegular() bool { return p.file != nil && p.file.Mode().IsRegular() }

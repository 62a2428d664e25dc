package input

import (
	"cmp"
	"container/heap"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pcap-replay/internal/files"
)

// FileList is a list of files. A folder may hold very many, so it is kept in little memory.
type FileList struct {
	paths files.NameList // each after a byte that says whether the file was found
}

// The first byte of a name in a FileList.
const (
	namedFile = "n"
	foundFile = "f"
)

func (l *FileList) add(file File) {
	how := namedFile
	if file.Found {
		how = foundFile
	}
	l.paths.Add(how + file.Path)
}

// Len is the number of files.
func (l *FileList) Len() int { return l.paths.Len() }

// At returns the file with a number, counted from 0.
func (l *FileList) At(number int) File {
	name := l.paths.At(number)
	return File{Path: name[1:], Found: name[:1] == foundFile}
}

// Forget frees the memory of the files before a number, which are not asked for any more.
func (l *FileList) Forget(before int) { l.paths.Forget(before) }

// All returns the files in their order.
func (l *FileList) All() iter.Seq[File] {
	return func(yield func(File) bool) {
		for number := range l.Len() {
			if !yield(l.At(number)) {
				return
			}
		}
	}
}

// Paths returns the paths of the files in their order.
func (l *FileList) Paths() iter.Seq[string] {
	return func(yield func(string) bool) {
		for file := range l.All() {
			if !yield(file.Path) {
				return
			}
		}
	}
}

// entry is a file, or anything else that is no folder, in a folder that is searched.
type entry struct {
	path  string
	below string      // the path below the folder
	kind  fs.FileMode // type bits
}

func (e *entry) isHidden() bool { return isHidden(filepath.Base(e.path)) }

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

// isRegular follows a symbolic link to a file. It does not follow links to folders, which
// may form a loop.
func (e *entry) isRegular() bool {
	if e.kind&fs.ModeSymlink == 0 {
		return e.kind.IsRegular()
	}
	info, err := os.Stat(e.path)
	return err == nil && info.Mode().IsRegular()
}

// walkFolder visits everything in a folder and in the folders below it, in the order of
// names. It leaves out hidden folders. The error of a folder that cannot be read is visited
// with the folder as the entry.
func walkFolder(folder string, visit func(found entry, err error)) {
	walkBelow(folder, "", visit)
}

func walkBelow(folder, below string, visit func(found entry, err error)) {
	parts, err := readFolder(folder)
	if err != nil {
		visit(entry{path: folder, below: below, kind: fs.ModeDir}, err)
	}
	for len(parts) > 0 {
		name, kind := parts.pop()
		found := entry{path: filepath.Join(folder, name), below: filepath.Join(below, name), kind: kind}
		switch {
		case !kind.IsDir():
			visit(found, nil)
		case !found.isHidden():
			walkBelow(found.path, found.below, visit)
		}
	}
}

// entriesAtATime is how many entries of a folder are sorted in memory: they take about a
// megabyte, and up to two with the longest names.
const entriesAtATime = 4096

// readFolder reads the entries of a folder. They may come together with an error.
func readFolder(folder string) (sortedParts, error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var parts sortedParts
	for {
		entries, err := dir.ReadDir(entriesAtATime)
		if len(entries) > 0 {
			parts = append(parts, newSortedPart(entries))
		}
		if err != nil {
			heap.Init(&parts)
			if err == io.EOF {
				err = nil
			}
			return parts, err
		}
	}
}

// sortedPart is a part of the entries of a folder, in the order of names.
type sortedPart struct {
	first string // name, a zero byte, which no name has, and the kind of file
	rest  files.NameList
	next  int // of rest
}

func newSortedPart(entries []fs.DirEntry) *sortedPart {
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	p := new(sortedPart)
	for _, e := range entries {
		p.rest.Add(e.Name() + "\x00" + string(kindByte(e.Type())))
	}
	p.advance()
	return p
}

// The kinds of files that are distinguished.
const (
	regularByte = 'f'
	folderByte  = 'd'
	linkByte    = 'l'
	otherByte   = 'o'
)

func kindByte(mode fs.FileMode) byte {
	switch {
	case mode.IsRegular():
		return regularByte
	case mode.IsDir():
		return folderByte
	case mode&fs.ModeSymlink != 0:
		return linkByte
	}
	return otherByte
}

var kindOf = map[byte]fs.FileMode{regularByte: 0, folderByte: fs.ModeDir, linkByte: fs.ModeSymlink, otherByte: fs.ModeIrregular}

// advance goes to the next entry, if there is one.
func (p *sortedPart) advance() (ok bool) {
	if ok = p.next < p.rest.Len(); ok {
		p.first = p.rest.At(p.next)
		p.next++
	}
	return ok
}

// sortedParts are the parts of a folder, as a heap with the least name first.
type sortedParts []*sortedPart

// pop takes the entry with the least name.
func (s *sortedParts) pop() (name string, kind fs.FileMode) {
	part := (*s)[0]
	length := len(part.first) - 2
	name, kind = part.first[:length], kindOf[part.first[length+1]]
	if part.advance() {
		heap.Fix(s, 0)
	} else {
		heap.Pop(s)
	}
	return name, kind
}

func (s sortedParts) Len() int           { return len(s) }
func (s sortedParts) Less(i, j int) bool { return s[i].first < s[j].first }
func (s sortedParts) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push implements heap.Interface. No part is added.
func (s *sortedParts) Push(part any) { *s = append(*s, part.(*sortedPart)) }

// Pop implements heap.Interface.
func (s *sortedParts) Pop() any {
	last := len(*s) - 1
	part := (*s)[last]
	(*s)[last] = nil // frees its memory
	*s = (*s)[:last]
	return part
}

package files

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/pierrec/lz4/v4"
)

// NameList is a list of names in little memory: it compresses them in groups, because the
// names of captures resemble each other. Its zero value is empty. Its methods are safe for
// concurrent use.
type NameList struct {
	mutex  sync.Mutex
	groups []nameGroup
	last   []byte // the group that is not full yet, not compressed
	length int

	recent int    // the group that was read last, counted from 1; 0 if there is none
	plain  []byte // that group
}

// nameGroup is a group of namesInGroup names, each after its length as a uvarint.
type nameGroup struct {
	stored []byte
	size   int // of the names, in bytes; if that of stored is the same, they are not compressed
}

// namesInGroup is a compromise: with fewer names, the compression finds less, and with more,
// it takes longer to read one name. A group of short names is uncompressed in about 2 us.
const namesInGroup = 64

// nameCompressors have tables of 128 KiB each.
var nameCompressors = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// Add appends a name and returns its number, counted from 0.
func (l *NameList) Add(name string) (number int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.last = binary.AppendUvarint(l.last, uint64(len(name)))
	l.last = append(l.last, name...)
	l.length++
	if l.length%namesInGroup == 0 {
		l.groups = append(l.groups, compressNames(l.last))
		l.last = l.last[:0]
	}
	return l.length - 1
}

func compressNames(names []byte) nameGroup {
	compressor := nameCompressors.Get().(*lz4.Compressor)
	defer nameCompressors.Put(compressor)
	compressed := make([]byte, len(names)) // enough for what becomes smaller
	n, err := compressor.CompressBlock(names, compressed)
	if err != nil || n == 0 { // they cannot be compressed
		return nameGroup{stored: slices.Clone(names), size: len(names)}
	}
	return nameGroup{stored: slices.Clone(compressed[:n]), size: len(names)}
}

// Len is the number of names.
func (l *NameList) Len() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.length
}

// At returns the name with a number. It is fastest if that name is near the one before.
func (l *NameList) At(number int) string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	names := l.last
	if group := number / namesInGroup; group < len(l.groups) {
		names = l.uncompressed(group)
	}
	for range number % namesInGroup {
		_, names = cutName(names)
	}
	name, _ := cutName(names)
	return string(name)
}

// Forget frees the names before a number, which are not read any more.
func (l *NameList) Forget(before int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	clear(l.groups[:before/namesInGroup])
}

// All returns the names in their order.
func (l *NameList) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for number := range l.Len() {
			if !yield(l.At(number)) {
				return
			}
		}
	}
}

func (l *NameList) uncompressed(group int) []byte {
	g := l.groups[group]
	if len(g.stored) == g.size {
		return g.stored
	}
	if l.recent != group+1 {
		l.plain = slices.Grow(l.plain[:0], g.size)[:g.size]
		if n, err := lz4.UncompressBlock(g.stored, l.plain); err != nil || n != g.size {
			panic(fmt.Sprintf("names in memory have changed: wanted %d bytes, got %d: %v", g.size, n, err))
		}
		l.recent = group + 1
	}
	return l.plain
}

func cutName(names []byte) (name, rest []byte) {
	length, width := binary.Uvarint(names)
	names = names[width:]
	return names[:length], names[length:]
}

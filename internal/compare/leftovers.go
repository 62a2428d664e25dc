package compare

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"pcap-replay/internal/files"
)

// leftover is a packet that left its window without a partner.
type leftover struct {
	key       uint64
	number    int64
	duplicate bool
}

// leftovers are the leftovers of one side. Those that do not fit into memory are in a file
// without a name, in sorted runs.
type leftovers struct {
	limit  int // in memory
	folder string
	memory []leftover
	file   *files.Temporary // nil until something is written
	size   int64
	runs   []int64 // offsets of their ends
}

const leftoverLength = 16 // bytes in the file

func (l *leftovers) add(one leftover) error {
	if len(l.memory) == l.limit {
		if err := l.spill(); err != nil {
			return fmt.Errorf("%w: %w", files.ErrTemporary, err)
		}
	}
	l.memory = append(l.memory, one)
	return nil
}

func compareLeftovers(a, b leftover) int {
	if a.key != b.key { // nearly always
		return cmp.Compare(a.key, b.key)
	}
	return cmp.Compare(a.number, b.number)
}

// spill writes the leftovers in memory to the file, as a run.
func (l *leftovers) spill() (err error) {
	if l.file == nil {
		if l.file, err = files.CreateTemporary(l.folder, "pcap-map-*"); err != nil {
			return err
		}
	}
	slices.SortFunc(l.memory, compareLeftovers)
	w := bufio.NewWriterSize(l.file, 1<<20)
	var text [leftoverLength]byte
	for _, one := range l.memory {
		number := uint64(one.number) << 1
		if one.duplicate {
			number |= 1
		}
		binary.NativeEndian.PutUint64(text[:], one.key)
		binary.NativeEndian.PutUint64(text[8:], number)
		_, _ = w.Write(text[:]) // Flush returns its error, too
	}
	l.size += int64(len(l.memory)) * leftoverLength
	l.runs = append(l.runs, l.size)
	l.memory = l.memory[:0]
	return w.Flush()
}

// sorted yields all leftovers by key, and those of the same key by number. It stops after an
// error.
func (l *leftovers) sorted() iter.Seq2[leftover, error] {
	return func(yield func(leftover, error) bool) {
		slices.SortFunc(l.memory, compareLeftovers)
		runs := []*leftoverRun{{memory: l.memory}}
		start := int64(0)
		for _, end := range l.runs {
			runs = append(runs, &leftoverRun{file: bufio.NewReader(io.NewSectionReader(l.file, start, end-start))})
			start = end
		}
		for _, run := range runs {
			run.advance()
		}
		for {
			var first *leftoverRun
			for _, run := range runs {
				if run.err != nil && run.err != io.EOF {
					yield(leftover{}, fmt.Errorf("%w: %w", files.ErrTemporary, run.err))
					return
				}
				if run.err == nil && (first == nil || compareLeftovers(run.head, first.head) < 0) {
					first = run
				}
			}
			if first == nil || !yield(first.head, nil) {
				return
			}
			first.advance()
		}
	}
}

// leftoverRun reads a sorted run.
type leftoverRun struct {
	memory []leftover
	file   *bufio.Reader // nil if the run is in memory
	head   leftover
	err    error // io.EOF: there is no head
}

func (r *leftoverRun) advance() {
	if r.file == nil {
		if len(r.memory) == 0 {
			r.err = io.EOF
			return
		}
		r.head, r.memory = r.memory[0], r.memory[1:]
		return
	}
	var text [leftoverLength]byte
	if _, r.err = io.ReadFull(r.file, text[:]); r.err == nil {
		number := binary.NativeEndian.Uint64(text[8:])
		r.head = leftover{binary.NativeEndian.Uint64(text[:]), int64(number >> 1), number&1 != 0}
	}
}

func (l *leftovers) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// pairLeftovers calls pair for every two of the same key, one of each side.
func pairLeftovers(reference, capture *leftovers, pair func(reference, capture leftover)) error {
	next, stop := iter.Pull2(capture.sorted())
	defer stop()
	c, err, more := next()
	for r, failed := range reference.sorted() {
		for more && err == nil && c.key < r.key {
			c, err, more = next()
		}
		if err := errors.Join(failed, err); err != nil {
			return err
		}
		if !more {
			return nil
		}
		if c.key == r.key {
			pair(r, c)
			c, err, more = next()
		}
	}
	return nil
}

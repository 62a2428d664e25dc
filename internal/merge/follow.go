package merge

import (
	"io"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// Follower merges files that still grow, as they are written. A packet goes out
// once every file that grows has shown a packet that is later by the window, so
// that no earlier one can come; a file that has not grown for as long is not
// waited for. What comes later than that goes out as it comes, and is late.
//
// A packet that is too late in its own file goes out at once, behind all packets
// before it in the file. The other files do not wait for that file until it has caught
// up with its latest time: its clock may be years behind.
type Follower struct {
	captures *Captures
	options  Options
	list     func() []string
	patience time.Duration // with a file that does not grow
	idle     time.Duration // ends it all; 0 never does

	linkTypes linkTypes
	known     map[string]bool
	files     []*followed
	tree      tournament  // of the files whose next packet cannot be overtaken within its file
	players   []*followed // by leaf
	scanned   time.Time
	grown     time.Time // when a file did last
	stopping  bool
	latest    int64 // time given out
	late      int64
}

// followed is one of the files.
type followed struct {
	*Input
	order int32 // in which they were found
	tail  *tail
	ahead *lookahead
	grown time.Time
	ended bool

	held   reorderBuffer
	due    int64 // time up to which packets cannot be overtaken within the file
	latest int64 // of the times of all packets
	leaf   int32 // in the tree, or outside
}

// outside is no leaf.
const outside = -1

// grows says whether packets of a file are there or may be about to come.
func (f *followed) grows(patience time.Duration) bool {
	return !f.ended && (f.ahead.isReady() || !f.tail.waits.Load() || time.Since(f.grown) < patience)
}

// isAwaited says whether the other files wait for a file.
func (f *followed) isAwaited(patience time.Duration) bool {
	isBehind := f.held.latest < f.latest
	return f.grows(patience) && (!isBehind || f.ahead.isReady())
}

const (
	// scanInterval is how often the folder is looked at.
	scanInterval = 100 * time.Millisecond
	// followInterval is how long Read waits for packets.
	followInterval = 10 * time.Millisecond
)

// NewFollower merges the files that list gives, which is asked again and again. It
// ends by Stop, or when no file has grown for idle, unless that is 0.
func NewFollower(captures *Captures, list func() []string, idle time.Duration, options Options) *Follower {
	now := time.Now()
	return &Follower{
		captures: captures, options: options, list: list, idle: idle,
		patience: max(time.Duration(captures.window), 2*scanInterval),
		known:    map[string]bool{}, grown: now, latest: math.MinInt64,
	}
}

// Late is how many packets came out behind one with a later time.
func (f *Follower) Late() int64 { return f.late }

// Files is how many files have been followed.
func (f *Follower) Files() int { return len(f.known) }

// Read gives the next packets that are due, in memory of their own, or none after a
// short while. The error is io.EOF after the last packet.
func (f *Follower) Read(dst []stream.Packet) (int, error) {
	if time.Since(f.scanned) >= scanInterval {
		if err := f.scan(); err != nil {
			return 0, err
		}
	}
	n := f.release(dst)
	if n == 0 {
		if err := f.take(); err != nil {
			return 0, err
		}
		n = f.release(dst)
	}
	for i := range dst[:n] {
		if dst[i].Time < f.latest {
			f.late++
		}
		f.latest = max(f.latest, dst[i].Time)
	}
	switch {
	case n > 0:
		return n, nil
	case f.stopping && len(f.files) == 0:
		return 0, io.EOF
	case f.idle > 0 && time.Since(f.grown) >= f.idle:
		f.Stop()
	}
	time.Sleep(followInterval)
	return 0, nil
}

// Stop has every file end where it ends now.
func (f *Follower) Stop() {
	f.stopping = true
	for _, file := range f.files {
		file.tail.end()
	}
}

// Close closes all files.
func (f *Follower) Close() error {
	for _, file := range f.files {
		file.tail.end()
		if !file.ended {
			file.ahead.Close()
		}
	}
	f.files = nil
	return nil
}

// scan opens the files that are new, wakes those that have grown, and ends those
// that are gone.
func (f *Follower) scan() error {
	f.scanned = time.Now()
	there := map[string]bool{}
	for _, path := range f.list() {
		there[path] = true
		if !f.known[path] && !f.stopping {
			f.known[path] = true
			if err := f.open(path); err != nil {
				return err
			}
		}
	}
	for _, file := range f.files {
		if !file.ended && file.tail.look(there[file.Path]) {
			file.grown = time.Now()
			f.grown = file.grown
		}
	}
	return nil
}

func (f *Follower) open(path string) error {
	input := &Input{Path: path}
	file, err := f.captures.pool.Open(path)
	if err != nil {
		return f.options.Trouble(input, err)
	}
	grown := time.Time{}
	if time.Since(file.Info().ModTime()) < f.patience {
		grown = time.Now()
	}
	tail := newTail(file)
	size := blockSize(len(f.files))
	ahead := newLookahead(tail, 0, f.captures.blocks, size, batchSize(size))
	f.files = append(f.files, &followed{
		Input: input, order: int32(len(f.known)), tail: tail, ahead: ahead, grown: grown,
		held: newReorderBuffer(f.captures.window), due: math.MinInt64, latest: math.MinInt64, leaf: outside,
	})
	return nil
}

// take reads from the files until a packet is due: always from the file that is behind
// all others, as long as that has some.
func (f *Follower) take() error {
	for range maxBatch {
		file := f.lastOf()
		if file == nil || !file.ahead.isReady() {
			return nil
		}
		if err := f.takeFrom(file); err != nil {
			return err
		}
		f.settle(file)
		if f.isDue() {
			return nil
		}
	}
	return nil
}

// lastOf is the file that the others have to wait for.
func (f *Follower) lastOf() (last *followed) {
	for _, file := range f.files {
		if (last == nil || file.held.latest < last.held.latest) && file.isAwaited(f.patience) {
			last = file
		}
	}
	return last
}

func (f *Follower) takeFrom(file *followed) error {
	batch, err := file.ahead.Next()
	for i := range batch {
		if err := f.check(file, batch[i].LinkType); err != nil {
			return err
		}
	}
	for i := range batch {
		file.held.add(&batch[i])
		file.latest = max(file.latest, batch[i].Time)
	}
	f.grown = time.Now()
	if err != nil && !isDamage(err) {
		file.ended = true
		file.ahead.Close()
	}
	if err != nil && err != io.EOF {
		return f.options.Trouble(file.Input, err)
	}
	return nil
}

func (f *Follower) check(file *followed, linkType stream.LinkType) error {
	if f.options.Mixed {
		return nil
	}
	return f.linkTypes.check(file.Input, linkType)
}

// release gives the packets that are due, in order.
func (f *Follower) release(dst []stream.Packet) (n int) {
	f.files = slices.DeleteFunc(f.files, func(file *followed) bool { return file.ended && file.held.isEmpty() })
	for _, file := range f.files {
		f.settle(file)
	}
	for due := f.due(); n < len(dst) && !f.tree.empty() && f.tree.time(f.tree.winner()) <= due; n++ {
		file := f.players[f.tree.winner()]
		file.held.release(dst[n:n], 1, file.due)
		f.play(file)
	}
	return n
}

// isDue says that there is something to release.
func (f *Follower) isDue() bool {
	return !f.tree.empty() && f.tree.time(f.tree.winner()) <= f.due()
}

// due is the time up to which packets cannot be overtaken by those of a file that is
// waited for.
func (f *Follower) due() int64 {
	if last := f.lastOf(); last != nil {
		return before(last.held.latest, f.captures.window)
	}
	return math.MaxInt64
}

// settle finds out up to which time packets of a file cannot be overtaken within it.
func (f *Follower) settle(file *followed) {
	file.due = math.MaxInt64
	if file.grows(f.patience) {
		file.due = before(file.held.latest, f.captures.window)
	}
	f.play(file)
}

// play puts a file into the tree if its next packet is due.
func (f *Follower) play(file *followed) {
	time, ok := file.held.next(file.due)
	switch {
	case ok && file.leaf != outside:
		f.tree.update(file.leaf, time)
	case ok:
		file.leaf = f.tree.enter(file.order, time)
		for int(file.leaf) >= len(f.players) {
			f.players = append(f.players, nil)
		}
		f.players[file.leaf] = file
	case file.leaf != outside:
		f.tree.leave(file.leaf)
		f.players[file.leaf], file.leaf = nil, outside
	}
}

// tail reads a file and waits for more at its end. Its methods but Read and Close
// are for the goroutine of the Follower.
type tail struct {
	file   *files.PooledFile
	offset atomic.Int64
	waits  atomic.Bool // at the end of the file
	wake   chan struct{}
	ended  chan struct{}
	isOver bool
}

func newTail(file *files.PooledFile) *tail {
	return &tail{file: file, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Read implements io.Reader.
func (t *tail) Read(p []byte) (int, error) {
	for {
		over := false
		select {
		case <-t.ended:
			over = true // what the file has now is the last
		default:
		}
		n, err := t.file.Read(p)
		t.offset.Add(int64(n))
		if n > 0 || err != io.EOF || over {
			return n, err
		}
		t.waits.Store(true)
		select {
		case <-t.wake:
		case <-t.ended:
		}
		t.waits.Store(false)
	}
}

// look wakes Read when the file has grown, and ends it when it will not any more.
func (t *tail) look(there bool) (grown bool) {
	info, err := os.Stat(t.file.Path())
	if !there || err != nil || !os.SameFile(info, t.file.Info()) || info.Size() < t.offset.Load() {
		t.end()
		return false
	}
	if info.Size() == t.offset.Load() {
		return false
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
	return true
}

func (t *tail) end() {
	if !t.isOver {
		t.isOver = true
		close(t.ended)
	}
}

// Close implements io.Closer.
func (t *tail) Close() error { return t.file.Close() }

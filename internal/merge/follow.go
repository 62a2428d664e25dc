package merge

import (
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	watcher  *watcher
	stopped  sync.Once

	linkTypes linkTypes
	files     []*followed // that may have packets
	tree      tournament  // of the files whose next packet cannot be overtaken within its file
	players   []*followed // by leaf
	count     int32       // of all files
	latest    int64       // time given out
	late      int64
}

// followed is one of the files.
type followed struct {
	*Input
	openErr error // why there is nothing else here
	order   int32 // in which they were found
	tail    *tail
	ahead   *lookahead
	ended   bool
	rests   atomic.Bool // the Follower has put it aside until it grows

	held   reorderBuffer
	due    int64 // time up to which packets cannot be overtaken within the file
	latest int64 // of the times of all packets
	leaf   int32 // in the tree, or outside
}

// outside is no leaf.
const outside = -1

// grows says whether packets of a file are there or may be about to come. A tail is busy
// until all that was read is ready: in the other order, packets that become ready between
// the two questions would be missed.
func (f *followed) grows(patience time.Duration) bool {
	return !f.ended && (f.tail.isBusy() || f.ahead.isReady() || f.tail.grewWithin(patience))
}

// isAwaited says whether the other files wait for a file.
func (f *followed) isAwaited(patience time.Duration) bool {
	isBehind := f.held.latest < f.latest
	return f.grows(patience) && (!isBehind || f.ahead.isReady())
}

const (
	// followInterval is how long Read waits for files to grow, and busyInterval is how long
	// it waits for a file that is being read.
	followInterval = 10 * time.Millisecond
	busyInterval   = 100 * time.Microsecond
)

// NewFollower merges the files of a folder, and those that come. It ends by Stop, or as the
// folder says. Options.Trouble may be given an [*UnreadError].
func NewFollower(captures *Captures, folder Folder, options Options) *Follower {
	return &Follower{captures: captures, options: options, watcher: newWatcher(captures, folder), latest: math.MinInt64}
}

// Late is how many packets came out behind one with a later time.
func (f *Follower) Late() int64 { return f.late }

// Files is how many files have been followed.
func (f *Follower) Files() int { return int(f.count) }

// Read gives the next packets that are due, in memory of their own, or none after a
// short while. The error is io.EOF after the last packet.
func (f *Follower) Read(dst []stream.Packet) (int, error) {
	finished, err := f.takeFiles()
	if err != nil {
		return 0, err
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
	case finished && len(f.files) == 0:
		return 0, io.EOF
	}
	time.Sleep(f.pause())
	return 0, nil
}

// pause is how long Read waits for packets.
func (f *Follower) pause() time.Duration {
	if last := f.lastOf(); last != nil && last.tail.isBusy() {
		return busyInterval
	}
	return followInterval
}

// Stop has every file end where it ends shortly, as soon as no more is written or
// after two seconds. It may be called from any goroutine.
func (f *Follower) Stop() { f.stopped.Do(func() { close(f.watcher.stop) }) }

// Close closes all files.
func (f *Follower) Close() error {
	f.watcher.close()
	for s := range f.watcher.all() {
		if s.file != nil {
			s.file.close()
		}
	}
	for _, file := range slices.Concat(f.files, f.watcher.found) {
		file.close()
	}
	f.files = nil
	return nil
}

// close ends reading.
func (f *followed) close() {
	if !f.ended && f.openErr == nil {
		f.ended = true
		f.tail.end()
		f.ahead.Close()
	}
}

// takeFiles takes the files that the watcher has found, and says whether those are the last.
func (f *Follower) takeFiles() (finished bool, err error) {
	found, finished := f.watcher.take()
	for _, file := range found {
		if file.openErr != nil {
			if err := f.options.Trouble(file.Input, file.openErr); err != nil {
				return finished, err
			}
			continue
		}
		if file.order == 0 {
			f.count++
			file.order = f.count
		}
		f.files = append(f.files, file)
	}
	return finished, nil
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
		if (last == nil || file.held.latest < last.held.latest) && file.isAwaited(f.patience()) {
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
	f.files = slices.DeleteFunc(f.files, f.canRest)
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

// canRest says that a file has no packets, and puts it aside if some may come later: the
// watcher brings it back.
func (f *Follower) canRest(file *followed) bool {
	if !file.held.isEmpty() {
		return false
	}
	if file.ended {
		return true
	}
	if file.grows(f.patience()) {
		return false
	}
	file.rests.Store(true)
	if !file.grows(f.patience()) {
		return true
	}
	return !file.rests.CompareAndSwap(true, false) // the watcher has been faster
}

func (f *Follower) patience() time.Duration { return time.Duration(f.watcher.patience.Load()) }

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
	if file.grows(f.patience()) {
		file.due = before(file.held.latest, f.captures.window)
	}
	f.play(file)
}

// play puts a file into the tree if its next packet is due.
func (f *Follower) play(file *followed) {
	time, ok := file.held.next(file.due)
	switch {
	case ok && file.leaf != outside:
		if f.tree.time(file.leaf) != time {
			f.tree.update(file.leaf, time)
		}
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

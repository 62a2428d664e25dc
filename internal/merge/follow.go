package merge

import (
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pcap-replay/internal/duration"
	"pcap-replay/stream"
)

// Follower merges files while they are written. It returns a packet when every growing file
// has a packet that is later by the window, so that no earlier packet can come. It does not
// wait for a file that has not grown for as long as the window. A packet that comes later
// than that is returned at once, and is late.
//
// A packet that is too late in its own file is returned at once, after all packets before it
// in the file. The other files do not wait for that file until it has caught up with its
// latest time, because its clock may be years behind.
type Follower struct {
	captures *Captures
	options  Options
	watcher  *watcher
	stopped  sync.Once

	linkTypes linkTypes
	files     []*followed // that may have packets
	tree      tournament  // of the files whose next packet is in its final order within the file
	players   []*followed // by leaf
	count     int32       // of all files
	latest    int64       // time that was returned
	late      int64
}

// followed is one of the files.
type followed struct {
	*Input
	openErr error // then the other fields are empty
	order   int32 // in which they were found
	tail    *tail
	ahead   *lookahead
	ended   bool
	rests   atomic.Bool // the Follower ignores it until it grows

	// Before the first look, the file had been closed so many times after it had changed.
	// Then it has been overwritten, or a tool opens it for each packet that it appends.
	unseen int
	born   int64 // the file's time of birth, in nanoseconds since the Unix epoch

	held   reorderBuffer
	due    int64 // up to this time, packets are in their final order within the file
	latest int64 // of the times of all packets
	leaf   int32 // in the tree, or outside
}

// outside means that a file has no leaf.
const outside = -1

// grows reports whether a file has packets or may get some soon. A tail is busy until
// everything that was read is ready. If the questions were asked in the other order, packets
// that become ready in between would be missed.
func (f *followed) grows(patience time.Duration) bool {
	return !f.ended && (f.tail.isBusy() || f.ahead.isReady() || f.tail.grewWithin(patience))
}

// isAwaited reports whether the other files wait for this one.
func (f *followed) isAwaited(patience time.Duration) bool {
	isBehind := f.held.latest < f.latest
	return f.grows(patience) && (!isBehind || f.ahead.isReady())
}

const (
	// followInterval is how long Read waits for files to grow, and busyInterval is how long
	// it waits for a file that is being read.
	followInterval = 10 * time.Millisecond
	busyInterval   = 100 * time.Microsecond
	// birthPrecision is how much earlier a file's time of birth may be than its birth. It is
	// the time of the last tick, and Linux has 100 ticks in a second or more (CONFIG_HZ).
	birthPrecision = 10 * time.Millisecond
)

// NewFollower returns a Follower of the files of a folder, also of new ones. It ends by
// Stop, or as the folder says. Options.Trouble may get an [*UnreadError].
func NewFollower(captures *Captures, folder Folder, options Options) *Follower {
	return &Follower{captures: captures, options: options, watcher: newWatcher(captures, folder), latest: math.MinInt64}
}

// Late is the number of packets that were returned after one with a later time.
func (f *Follower) Late() int64 { return f.late }

// Files is the number of files that have been followed.
func (f *Follower) Files() int { return int(f.count) }

// Read returns the next packets that are due. They have their own memory. After a short
// time without packets it returns none. The error is io.EOF after the last packet.
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

// Stop ends every file when nothing more is written, or after two seconds. It may be called
// from any goroutine.
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

// takeFiles takes the files that the watcher has found. It returns true if they are the last.
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

// take reads from the files until a packet is due. It always reads from the file that is
// furthest behind, as long as that has packets.
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

// lastOf is the file for which the others have to wait.
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
	if file.unseen > 0 && len(batch) > 0 {
		if err := f.checkUnseen(file, batch[0].Time); err != nil {
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

// checkUnseen reports captures that have been overwritten before the first look at a file. A
// tool that appends creates the file when it has the first packet. So if the first packet is
// later than the birth of the file, it is not the first packet that was written to it.
func (f *Follower) checkUnseen(file *followed, first int64) error {
	unseen := file.unseen
	file.unseen = 0
	if first <= file.born+int64(birthPrecision) {
		return nil
	}
	return f.options.Trouble(file.Input, &UnreadError{Unseen: unseen})
}

func (f *Follower) check(file *followed, linkType stream.LinkType) error {
	if f.options.Mixed {
		return nil
	}
	return f.linkTypes.check(file.Input, linkType)
}

// release returns the packets that are due, in order.
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

// canRest reports whether a file has no packets. If it may get some later, the watcher wakes
// it then.
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
	return !file.rests.CompareAndSwap(true, false) // the watcher has woken it already
}

func (f *Follower) patience() time.Duration { return time.Duration(f.watcher.patience.Load()) }

// isDue reports whether a packet can be released.
func (f *Follower) isDue() bool {
	return !f.tree.empty() && f.tree.time(f.tree.winner()) <= f.due()
}

// due is the time up to which no file that is waited for can still have an earlier packet.
func (f *Follower) due() int64 {
	if last := f.lastOf(); last != nil {
		return duration.Before(last.held.latest, f.captures.window)
	}
	return math.MaxInt64
}

// settle finds the time up to which the packets of a file are in their final order.
func (f *Follower) settle(file *followed) {
	file.due = math.MaxInt64
	if file.grows(f.patience()) {
		file.due = duration.Before(file.held.latest, f.captures.window)
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

package merge

import (
	"errors"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/stream"
)

// Folder is a folder that a [Follower] follows.
type Folder struct {
	Path string
	// List returns the paths of the files in the folder. An error ends the run, because
	// the folder is gone.
	List func() ([]string, error)
	// IsOutput reports whether this process writes a file, so that it is not read.
	IsOutput func(path string) bool
	// Idle is the time without growth of any file after which the run ends; 0: never.
	Idle time.Duration
}

const (
	// scanInterval is the interval of looks at the folder, if a look takes less than a
	// tenth of it.
	scanInterval = 100 * time.Millisecond
	scanShare    = 10
	// A stop takes effect when no file is open for writing and none has grown for
	// settleTime, but after stopTime at the latest. Capture tools that got the same signal
	// write their buffers in this time. One that got no signal never stops.
	settleTime = 2 * scanInterval
	stopTime   = 2 * time.Second
	// forgetTime is how long a deleted file is remembered, because a compressed copy of it
	// may be moved into the folder later.
	forgetTime = 10 * time.Minute
)

// watcher looks at a folder regularly. It finds new files, informs the tails of files that
// have grown, and ends those of files that are gone. It runs in its own goroutine, because
// files come and go while the Follower waits for its reader.
//
// A file is identified by its device and inode, and by its first bytes. So a renamed file is
// the same capture, and an overwritten file is another one. A compressed file is a copy, and
// not followed, if it decompresses to the first bytes of a known file.
type watcher struct {
	folder   Folder
	captures *Captures
	patience atomic.Int64 // how long to wait for a file that does not grow, in nanoseconds

	closings  *files.Closings
	sightings map[files.Identity]*sighting
	former    []*sighting // of files that have been overwritten
	grown     time.Time   // when a file last grew
	finds     []*followed // files that this look has found

	mutex    sync.Mutex
	found    []*followed // that the Follower has not taken yet
	finished bool        // nothing more will be found

	stop chan struct{} // closed to end the run when everything has been read
	quit chan struct{} // closed to end the run at once
	done chan struct{} // closed at the end
}

// sighting is a capture in the folder.
type sighting struct {
	path      string
	info      fs.FileInfo // of the last look
	seen      time.Time   // when it was last in the folder
	signature *signature

	// These are empty until the file is long enough to decide what it is.
	isDecided   bool
	file        *followed // nil for a copy, and after the end
	content     []byte    // the beginning, decompressed
	compression stream.Compression

	// turn is the number of times that the file had been closed when this capture began, and
	// unseen is how many of them were before the first look.
	turn     int
	unseen   int
	isClosed bool      // at the last look
	before   *sighting // what was in the file before it was overwritten, or nil
	refused  bool      // it cannot be opened, and that has been reported
}

func newWatcher(captures *Captures, folder Folder) *watcher {
	w := &watcher{
		folder: folder, captures: captures, sightings: map[files.Identity]*sighting{}, grown: time.Now(),
		stop: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	w.setPatience(scanInterval)
	w.closings = files.NewClosings()
	w.closings.Watch(filepath.Clean(folder.Path))
	go w.run()
	return w
}

func (w *watcher) setPatience(interval time.Duration) {
	w.patience.Store(max(w.captures.window, int64(2*interval)))
}

func (w *watcher) run() {
	defer close(w.done)
	defer w.closings.Close()
	stop := w.stop
	var stopped time.Time
	for {
		began := time.Now()
		err := w.look(false)
		now := time.Now()
		isIdle := w.folder.Idle > 0 && now.Sub(w.grown) >= w.folder.Idle
		isSettled := now.Sub(w.grown) >= settleTime && !w.isWritten()
		isStopped := stop == nil && (isSettled || now.Sub(stopped) >= stopTime)
		if isIdle || isStopped {
			err = w.look(true)
		}
		if err != nil || isIdle || isStopped {
			w.finish()
			return
		}
		interval := max(scanInterval, scanShare*now.Sub(began))
		w.setPatience(interval)
		select {
		case <-time.After(interval):
		case <-stop:
			stop, stopped = nil, time.Now()
			w.grown = stopped // so that there is another look after settleTime
		case <-w.quit:
			return
		}
	}
}

// isWritten reports whether a file is known to be open for writing. It may still grow, even
// if it has not for a while: tcpdump writes its last packets when it ends. A file that was
// overwritten just before has nothing of the next capture yet.
func (w *watcher) isWritten() bool {
	for _, s := range w.sightings {
		isRead := s.file != nil || !s.isDecided
		if closing := w.closings.Of(s.path); isRead && closing.Known && !closing.IsClosed {
			return true
		}
	}
	return false
}

// finish ends all files at their size of the last look.
func (w *watcher) finish() {
	for _, s := range w.sightings {
		w.end(s)
	}
	w.publish()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.finished = true
}

// end ends a file at its known size, and leaves it to the Follower.
func (w *watcher) end(s *sighting) {
	if s.file != nil {
		s.file.tail.end()
		w.wake(s.file)
		s.file = nil
	}
}

// breakOff ends a file where it has been read to, and leaves it to the Follower.
func (w *watcher) breakOff(s *sighting, reason string) {
	if s.file != nil {
		s.file.tail.breakOff(reason)
		w.wake(s.file)
		s.file = nil
	}
}

// take returns the files that are new or have woken up, and whether they are the last.
func (w *watcher) take() (found []*followed, finished bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	found, w.found = w.found, nil
	return found, w.finished
}

// publish gives the Follower all files that a look has found, at the same time. Otherwise
// packets of one file would be returned before the other files are known.
func (w *watcher) publish() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.found = append(w.found, w.finds...)
	w.finds = nil
}

// wake gives a resting file back to the Follower.
func (w *watcher) wake(file *followed) {
	if file.rests.CompareAndSwap(true, false) {
		w.finds = append(w.finds, file)
	}
}

// look checks every file once.
func (w *watcher) look(isLast bool) error {
	defer w.publish()
	now := time.Now()
	w.closings.Update()
	paths, err := w.folder.List()
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue // it has gone in the meantime
		}
		id := files.IdentityOf(path, info)
		s := w.sightings[id]
		if s == nil {
			s = &sighting{}
			w.sightings[id] = s
		}
		if s.seen.Equal(now) {
			continue // the file has a second name
		}
		s.seen = now
		if s.path != path {
			s.move(path)
			w.closings.Watch(filepath.Dir(path))
		}
		w.lookAt(id, s, info, isLast)
	}
	for id, s := range w.sightings {
		if !s.seen.Equal(now) {
			w.lookAtGone(id, s, now)
		}
	}
	w.former = slices.DeleteFunc(w.former, func(s *sighting) bool { return now.Sub(s.seen) > forgetTime })
	return err
}

// move records a new name of a file.
func (s *sighting) move(path string) {
	s.path = path
	if s.file != nil {
		s.file.tail.file.Move(path)
	}
}

// lookAt checks a file whose stat(2) is info.
func (w *watcher) lookAt(id files.Identity, s *sighting, info fs.FileInfo, isLast bool) {
	if s.info == nil {
		info = w.begin(s, info)
		s.unseen = s.turn
	}
	hasChanged := s.info == nil || info.Size() != s.info.Size() || !info.ModTime().Equal(s.info.ModTime())
	// All captures of an interface share their headers.
	hasNewPackets := w.wasOpen(s) && !holdsPacket(s.signature.known())
	isRenewed := (hasChanged || isLast) && (hasNewPackets || !w.isSame(s, info))
	if isRenewed {
		s, info = w.renew(id, s, info)
	}
	s.info, s.turn, s.isClosed = info, max(s.turn, w.turn(s.path)), w.closings.Of(s.path).IsClosed
	switch {
	case !s.isDecided && (hasChanged || isLast || s.refused):
		w.decide(s, isLast)
	case s.file != nil && info.Size() < s.file.tail.size.Load():
		w.breakOff(s, shortened)
	case s.file != nil && info.Size() > s.file.tail.size.Load():
		w.grow(s, info.Size())
	}
	if s.file != nil {
		s.file.tail.isDone.Store(!isRenewed && w.isDone(s))
	}
}

// renew begins a new sighting of a file that has been overwritten.
func (w *watcher) renew(id files.Identity, old *sighting, info fs.FileInfo) (*sighting, fs.FileInfo) {
	if old.file != nil && w.wasOpen(old) {
		old.file.tail.isDone.Store(false)
	}
	w.breakOff(old, overwritten)
	old.before = nil
	w.former = append(w.former, old)
	s := &sighting{path: old.path, seen: old.seen, before: old}
	w.sightings[id] = s
	info = w.begin(s, info)
	s.turn = max(s.turn, old.turn+1)
	unseen := s.turn - old.turn
	if !old.isDecided {
		s.unseen = old.unseen
	}
	if old.isDecided || old.isClosed { // what it held is known, or its tail says what is lost
		unseen--
	}
	if unseen > 0 {
		w.finds = append(w.finds, &followed{Input: &Input{origin: newOrigin(s.path, "", nil)}, openErr: &UnreadError{Unseen: unseen}})
	}
	return s, info
}

// begin records how a capture begins, and its turn. It returns the file's stat(2) after that.
func (w *watcher) begin(s *sighting, info fs.FileInfo) fs.FileInfo {
	for {
		s.signature = &signature{}
		w.isSame(s, info)
		w.closings.Update()
		s.turn = w.turn(s.path)
		if now, err := os.Stat(s.path); err == nil && os.SameFile(info, now) {
			info = now
		}
		if w.isSame(s, info) { // it has not been overwritten in the meantime
			return info
		}
	}
}

// turn is the number of times that a file had been closed when its capture began.
func (w *watcher) turn(path string) int {
	closing := w.closings.Of(path)
	if closing.IsClosed {
		return max(0, closing.Count-1)
	}
	return closing.Count
}

// isDone reports whether the writer of a file has closed it. If this is not known, a file
// that does not grow any more is considered to be closed.
func (w *watcher) isDone(s *sighting) bool {
	if closing := w.closings.Of(s.path); closing.Known {
		return closing.IsClosed
	}
	return !s.file.tail.grewWithin(time.Duration(w.patience.Load()))
}

func (w *watcher) grow(s *sighting, size int64) {
	s.file.tail.grow(size)
	w.grown = time.Now()
	w.wake(s.file)
}

// wasOpen reports whether the writer of a file had not closed it at the last look: it has been
// closed and written again since.
func (w *watcher) wasOpen(s *sighting) bool {
	return s.info != nil && !s.isClosed && w.turn(s.path) > s.turn
}

// isSame reports whether a file has not been overwritten.
func (w *watcher) isSame(s *sighting, info fs.FileInfo) bool {
	file, err := w.captures.pool.Open(s.path)
	if err != nil || !os.SameFile(info, file.Info()) {
		return true // as far as it is known: it is gone, or has another name
	}
	defer file.Close()
	return s.signature.isOf(file)
}

// lookAtGone checks a file that has no name in the folder. If it is open, it is read as long
// as it grows, and longer if it has been moved elsewhere, because it may come back.
func (w *watcher) lookAtGone(id files.Identity, s *sighting, now time.Time) {
	isForgotten := now.Sub(s.seen) > forgetTime
	if s.file != nil {
		tail := s.file.tail
		info, err := tail.file.StatNow()
		switch {
		case err != nil && tail.offset.Load() < tail.size.Load():
			w.breakOff(s, deleted)
		case err != nil || isForgotten:
			w.end(s)
		case info.Size() > tail.size.Load():
			w.grow(s, info.Size())
		case files.IsDeleted(info) && !tail.grewWithin(time.Duration(w.patience.Load())):
			w.end(s)
		}
	}
	// Without a packet, another capture that gets the inode would seem to be the same file.
	if isForgotten || !s.isDecided || s.file == nil && !holdsPacket(s.known()) {
		delete(w.sightings, id)
	}
}

// decide decides what a file is: a new capture, which is followed from now on, or a copy. If
// the file is too short to decide, a later look decides.
func (w *watcher) decide(s *sighting, isLast bool) {
	if s.info.Size() == 0 || w.folder.IsOutput(s.path) {
		return
	}
	file, err := w.captures.pool.Open(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		if !s.refused {
			s.refused = true
			w.finds = append(w.finds, &followed{Input: &Input{origin: newOrigin(s.path, "", nil)}, openErr: err})
		}
		return
	}
	s.content, s.compression = s.signature.content(file, s.info.Size())
	isCopy, isSure := w.isCopy(s)
	switch {
	case isCopy:
		s.isDecided = true
		file.Close()
	case isSure || isLast:
		s.isDecided, s.refused = true, false
		w.follow(s, file)
	default:
		file.Close()
	}
}

// isCopy reports whether a file is a known capture that is compressed in another way. This is
// not sure before the file has a packet.
func (w *watcher) isCopy(s *sighting) (isCopy, isSure bool) {
	isSure = holdsPacket(s.content)
	if s.before != nil && s.before.compression == s.compression && haveSamePacket(s.before.known(), s.content) {
		return true, true // it has only been truncated
	}
	others := s.before != nil
	for other := range w.all() {
		if other == s || !other.isDecided || other.compression == s.compression {
			continue
		}
		others = true
		if haveSamePacket(other.known(), s.content) {
			return true, true
		}
	}
	return false, isSure || !others && s.compression == stream.Uncompressed
}

// all returns all sightings: current and former ones.
func (w *watcher) all() iter.Seq[*sighting] {
	return func(yield func(*sighting) bool) {
		for _, s := range w.sightings {
			if !yield(s) {
				return
			}
		}
		for _, s := range w.former {
			if !yield(s) {
				return
			}
		}
	}
}

// known is how the content of a capture begins. An open file may have got its first packet
// since the last look, even if it is gone by now.
func (s *sighting) known() []byte {
	if s.compression != stream.Uncompressed {
		return s.content
	}
	known := s.signature.known()
	if s.file != nil && len(known) < signatureSize && s.signature.isOf(s.file.tail.file) {
		known = s.signature.known()
	}
	return known
}

func (w *watcher) follow(s *sighting, file *files.PooledFile) {
	tail := newTail(file, s.signature, s.info.Size())
	if age := time.Since(s.info.ModTime()); age < time.Duration(w.patience.Load()) {
		tail.grown.Store(time.Now().UnixNano())
	}
	w.grown = time.Now()
	size := blockSize(int(w.captures.blocks.open.Load()))
	s.file = &followed{
		Input: &Input{origin: newOrigin(s.path, "", nil)}, tail: tail, ahead: newTailLookahead(tail, w.captures.blocks, size),
		held: newReorderBuffer(w.captures.window), latest: math.MinInt64, leaf: outside,
	}
	if born, isKnown := files.Birth(s.path); isKnown && s.unseen > 0 {
		s.file.unseen, s.file.born = s.unseen, born.UnixNano()
	}
	w.finds = append(w.finds, s.file)
}

// close ends all files at once.
func (w *watcher) close() {
	close(w.quit)
	<-w.done
}

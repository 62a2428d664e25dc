package files

import (
	"bytes"
	"encoding/binary"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Closings knows which files of some folders have been closed by whoever wrote them, and
// not been written to since: inotify(7). It sees what processes on this machine do.
type Closings struct {
	descriptor int
	folders    map[int32]string
	watched    map[string]bool
	closed     map[string]bool // by path; false after a write
	// moved is the file that lost its name last. An event with the same cookie, which is
	// the next one, gives it another.
	moved struct {
		cookie        uint32
		closed, known bool
	}
}

// NewClosings returns nil, which knows of no file, where the system cannot tell.
func NewClosings() *Closings {
	descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	return &Closings{descriptor: descriptor, folders: map[int32]string{}, watched: map[string]bool{}, closed: map[string]bool{}}
}

// Watch adds a folder. What happened there before remains unknown.
func (c *Closings) Watch(folder string) {
	if c == nil || c.watched[folder] {
		return
	}
	c.watched[folder] = true // a folder that cannot be watched is not tried again
	watch, err := unix.InotifyAddWatch(c.descriptor, folder, unix.IN_CLOSE_WRITE|unix.IN_MODIFY|unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE)
	if err == nil {
		c.folders[int32(watch)] = folder
	}
}

// Update records what has happened until now.
func (c *Closings) Update() {
	if c == nil {
		return
	}
	var events [64 << 10]byte
	for {
		n, err := unix.Read(c.descriptor, events[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		for rest := events[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			rest = c.add(rest)
		}
	}
}

// add records the first event.
func (c *Closings) add(events []byte) (rest []byte) {
	order := binary.NativeEndian
	watch, mask := int32(order.Uint32(events)), order.Uint32(events[4:])
	end := unix.SizeofInotifyEvent + int(order.Uint32(events[12:]))
	name, _, _ := bytes.Cut(events[unix.SizeofInotifyEvent:end], []byte{0})
	path := filepath.Join(c.folders[watch], string(name))
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0: // events have been lost
		for path := range c.closed {
			c.closed[path] = false
		}
	case mask&unix.IN_IGNORED != 0: // the folder is gone
		delete(c.watched, c.folders[watch])
		delete(c.folders, watch)
	case mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) != 0:
		c.moved.closed, c.moved.known = c.closed[path]
		c.moved.cookie = order.Uint32(events[8:])
		delete(c.closed, path)
	case mask&unix.IN_MOVED_TO != 0:
		delete(c.closed, path)
		if c.moved.known && c.moved.cookie == order.Uint32(events[8:]) {
			c.closed[path] = c.moved.closed
		}
	default:
		c.closed[path] = mask&unix.IN_CLOSE_WRITE != 0
	}
	return events[end:]
}

// IsClosed says whether a file of a folder has been closed. It is not known of a file to
// which nothing has happened.
func (c *Closings) IsClosed(path string) (closed, known bool) {
	if c == nil {
		return false, false
	}
	closed, known = c.closed[path]
	return closed, known
}

// Close ends the watch.
func (c *Closings) Close() {
	if c != nil {
		unix.Close(c.descriptor)
	}
}

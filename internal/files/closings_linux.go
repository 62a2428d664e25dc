package files

import (
	"bytes"
	"encoding/binary"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Closings watches folders by inotify(7), and knows of their files whether their writers have
// closed them, and how often. It sees only what processes on this machine do.
type Closings struct {
	descriptor int
	folders    map[int32]string
	watched    map[string]bool
	files      map[string]Closing // by path
	moved      Closing            // of the file that lost its name last
	cookie     uint32             // of the event with its new name, which is the next one
}

// NewClosings returns nil if the system cannot watch folders. A nil Closings knows of no file.
func NewClosings() *Closings {
	descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	return &Closings{descriptor: descriptor, folders: map[int32]string{}, watched: map[string]bool{}, files: map[string]Closing{}}
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

// Update reads the events until now.
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

// add processes the first event.
func (c *Closings) add(events []byte) (rest []byte) {
	order := binary.NativeEndian
	watch, mask, cookie := int32(order.Uint32(events)), order.Uint32(events[4:]), order.Uint32(events[8:])
	end := unix.SizeofInotifyEvent + int(order.Uint32(events[12:]))
	name, _, _ := bytes.Cut(events[unix.SizeofInotifyEvent:end], []byte{0})
	path := filepath.Join(c.folders[watch], string(name))
	file := c.files[path]
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0: // events have been lost
		for path, file := range c.files {
			c.files[path] = Closing{Count: file.Count, Known: true, hasChanged: true}
		}
	case mask&unix.IN_IGNORED != 0: // the folder is gone
		delete(c.watched, c.folders[watch])
		delete(c.folders, watch)
	case mask&unix.IN_MOVED_FROM != 0:
		c.moved, c.cookie = file, cookie
		delete(c.files, path)
	case mask&unix.IN_MOVED_TO != 0 && c.cookie == cookie:
		c.files[path] = c.moved
	case mask&(unix.IN_DELETE|unix.IN_MOVED_TO) != 0:
		delete(c.files, path)
	case mask&unix.IN_CLOSE_WRITE != 0:
		if file.hasChanged {
			file.Count++
		}
		c.files[path] = Closing{Count: file.Count, IsClosed: true, Known: true}
	case mask&unix.IN_MODIFY != 0:
		c.files[path] = Closing{Count: file.Count, Known: true, hasChanged: true}
	default: // it has been created
		c.files[path] = Closing{Count: file.Count, Known: true, hasChanged: file.hasChanged}
	}
	return events[end:]
}

// Of returns what is known of a file in a watched folder.
func (c *Closings) Of(path string) Closing {
	if c == nil {
		return Closing{}
	}
	return c.files[path]
}

// Close ends the watch.
func (c *Closings) Close() {
	if c != nil {
		unix.Close(c.descriptor)
	}
}

package unxz

// firstWindow is how much memory a window begins with, in bytes. It doubles as the data
// grows: a small file seldom says that it wants only a small dictionary.
const firstWindow = 64 << 10

// window holds the latest decompressed data, which matches reach back into. It is a
// ring: writing goes on at its start once it is full and all of it has been read.
type window struct {
	ring    []byte // it grows up to size
	size    int    // of the dictionary, in bytes
	given   int    // what has been read, up to this byte of ring
	write   int    // where the next byte goes
	wrapped bool   // the ring holds older bytes from write on
}

// reset empties the window, for a dictionary of size bytes.
func (w *window) reset(size int) {
	w.size = size
	if w.ring == nil {
		w.ring = make([]byte, min(size, firstWindow))
	}
	w.ring = w.ring[:min(size, cap(w.ring))]
	w.forget()
}

// forget drops what has been written. All of it has been read.
func (w *window) forget() { w.given, w.write, w.wrapped = 0, 0, false }

// makeRoom makes sure that a byte can be written, where all has been read.
func (w *window) makeRoom() {
	switch {
	case w.write < len(w.ring):
	case len(w.ring) < w.size:
		grown := make([]byte, min(w.size, 2*len(w.ring)))
		copy(grown, w.ring)
		w.ring = grown
	default:
		w.given, w.write, w.wrapped = 0, 0, true
	}
}

// length is how many bytes a match can reach back.
func (w *window) length() int {
	if w.wrapped {
		return w.size
	}
	return w.write
}

// before returns the byte that is distance+1 bytes back, or 0 in front of the first.
func (w *window) before(distance uint32) byte {
	at := w.write - int(distance) - 1
	if at < 0 {
		if !w.wrapped {
			return 0
		}
		at += w.size
	}
	return w.ring[at]
}

// repeat writes again what is distance+1 bytes back. Count bytes fit into the ring.
func (w *window) repeat(distance uint32, count int) {
	from := w.write - int(distance) - 1
	if from < 0 { // the end of the ring comes first
		from += w.size
		n := copy(w.ring[w.write:w.write+count], w.ring[from:])
		w.write += n
		count -= n
		from = 0
	}
	to := w.ring[w.write : w.write+count]
	if source := w.ring[from:w.write]; len(source) >= count {
		copy(to, source)
	} else {
		source = w.ring[from:] // the match goes on with what it has written
		for i := range to {
			to[i] = source[i]
		}
	}
	w.write += count
}

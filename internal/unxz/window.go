package unxz

// firstWindow is the initial size of a window in bytes. It doubles as the data grows,
// because small files rarely declare a small dictionary.
const firstWindow = 64 << 10

// window has the latest decompressed data, to which matches refer. It is a ring: when it is
// full and everything has been read, writing continues at its start.
type window struct {
	ring    []byte // it grows up to size
	size    int    // of the dictionary, in bytes
	given   int    // end of the data that was read
	write   int    // position of the next byte
	wrapped bool   // the ring has older bytes from write on
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

// forget drops the written data, which has all been read.
func (w *window) forget() { w.given, w.write, w.wrapped = 0, 0, false }

// makeRoom ensures that a byte can be written if everything has been read.
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

// length is the maximum distance of a match.
func (w *window) length() int {
	if w.wrapped {
		return w.size
	}
	return w.write
}

// before returns the byte that is distance+1 bytes back, or 0 before the start of the data.
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

// repeat copies count bytes from distance+1 bytes back. They fit into the ring.
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
		source = w.ring[from:] // the match continues with bytes that it has written
		for i := range to {
			to[i] = source[i]
		}
	}
	w.write += count
}

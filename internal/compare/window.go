package compare

// window holds the newest packets of one side by their numbers, counted from 0. Its chunks are
// allocated when they are needed, and reused.
type window struct {
	chunks     [][]packet
	first, end int64 // numbers of the oldest packet, and after the newest
	aged       int64 // packets before this number have waited for a partner long enough
	size       int64
}

// chunkPackets is how many packets a chunk holds. A window that few packets use takes little
// more memory than they need.
const chunkPackets = 4096

func newWindow(size int64) *window {
	chunks := max(size/chunkPackets, 2)
	return &window{chunks: make([][]packet, chunks), size: (chunks - 1) * chunkPackets}
}

func (w *window) at(number int64) *packet {
	return &w.chunks[number/chunkPackets%int64(len(w.chunks))][number%chunkPackets]
}

func (w *window) isFull() bool { return w.end-w.first == w.size }

// add makes room for a packet, and returns the place for it and its number. The window must
// not be full.
func (w *window) add() (*packet, int64) {
	chunk := &w.chunks[w.end/chunkPackets%int64(len(w.chunks))]
	if *chunk == nil {
		*chunk = make([]packet, chunkPackets)
	}
	number := w.end
	w.end++
	return &(*chunk)[number%chunkPackets], number
}

// number returns the full number of one that was shortened to 32 bits.
func (w *window) number(short uint32) int64 { return w.first + int64(short-uint32(w.first)) }

// chains find the packets of a window by a key. Packets with the same key are in a chain, the
// oldest first. They must be added and removed in the order of their numbers.
type chains struct {
	window *window
	// keys is a hash table with linear probing; 0 is a free slot. The chain of a key is at
	// the same place in chains: searching touches keys only, which fit into the cache.
	keys   []uint64
	chains []chain
	used   int
}

// chain is the packets of one key. Their numbers are shortened to 32 bits.
type chain struct {
	head, tail uint32
	length     uint32
	// cursor is the first packet that may be without a partner, except those that were
	// passed over. left is the number of packets from it on.
	cursor, left uint32
	passed       uint32 // upper limit of packets before the cursor that had no partner when it passed
	latest       uint32 // the last one that found a partner, or else the head
}

const (
	firstSlots = 64
	// A table grows when it is fuller than fullSlots/ofSlots.
	fullSlots, ofSlots = 5, 8
)

func newChains(w *window) *chains {
	return &chains{window: w, keys: make([]uint64, firstSlots), chains: make([]chain, firstSlots)}
}

// slotKey distinguishes the kinds, because chains may have several. It is not 0.
func slotKey(kind keyKind, key uint64) uint64 { return max(key+uint64(kind), 1) }

// number returns the number of a packet in a chain.
func (c *chains) number(short uint32) int64 { return c.window.number(short) }

// slot returns the slot of a key, or the one where it belongs.
func (c *chains) slot(key uint64) int {
	mask := len(c.keys) - 1
	i := int(key) & mask
	for c.keys[i] != 0 && c.keys[i] != key {
		i = (i + 1) & mask
	}
	return i
}

// find returns the chain of a key, or nil.
func (c *chains) find(kind keyKind, key uint64) *chain {
	if c.used == 0 {
		return nil
	}
	if i := c.slot(slotKey(kind, key)); c.keys[i] != 0 {
		return &c.chains[i]
	}
	return nil
}

func (c *chains) add(kind keyKind, number int64) {
	if ofSlots*c.used >= fullSlots*len(c.keys) {
		c.grow()
	}
	p := c.window.at(number)
	key := slotKey(kind, p.keys[kind])
	i, short := c.slot(key), uint32(number)
	list := &c.chains[i]
	if c.keys[i] == 0 {
		c.used++
		c.keys[i], *list = key, chain{head: short, latest: short}
	} else {
		c.window.at(c.number(list.tail)).next[kind] = short
	}
	if list.left == 0 {
		list.cursor = short
	}
	list.tail = short
	list.length++
	list.left++
}

func (c *chains) grow() {
	keys, old := c.keys, c.chains
	c.keys, c.chains = make([]uint64, 2*len(keys)), make([]chain, 2*len(keys))
	for i, key := range keys {
		if key != 0 {
			place := c.slot(key)
			c.keys[place], c.chains[place] = key, old[i]
		}
	}
}

// removeOldest removes the oldest packet of the window from its chain.
func (c *chains) removeOldest(kind keyKind) {
	p := c.window.at(c.window.first)
	i := c.slot(slotKey(kind, p.keys[kind]))
	list := &c.chains[i]
	switch {
	case list.length == 1:
		c.free(i)
		return
	case list.cursor == list.head && list.left > 0:
		list.cursor = p.next[kind]
		list.left--
	case p.partner == nobody && list.passed > 0:
		list.passed--
	}
	list.head = p.next[kind]
	list.length--
}

// free empties a slot, and closes the gap (Knuth, volume 3, 6.4, algorithm R).
func (c *chains) free(i int) {
	c.used--
	mask := len(c.keys) - 1
	for {
		c.keys[i] = 0
		hole := i
		for {
			i = (i + 1) & mask
			if c.keys[i] == 0 {
				return
			}
			home := int(c.keys[i]) & mask
			if (i-home)&mask >= (i-hole)&mask {
				break
			}
		}
		c.keys[hole], c.chains[hole] = c.keys[i], c.chains[i]
	}
}

// advance moves the cursor of a chain past packets that have a partner, and reports whether a
// packet is left.
func (c *chains) advance(list *chain, kind keyKind) bool {
	for list.left > 0 {
		p := c.window.at(c.window.number(list.cursor))
		if p.partner == nobody {
			return true
		}
		c.step(list, p, kind)
	}
	return false
}

// step moves the cursor forward by one packet, p.
func (c *chains) step(list *chain, p *packet, kind keyKind) {
	if p.partner == nobody {
		list.passed++
	}
	list.left--
	if list.left > 0 {
		list.cursor = p.next[kind]
	}
}

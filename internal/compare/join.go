package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"pcap-replay/internal/frame"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// ErrLinkTypes means that frames of the two link types cannot be compared.
var ErrLinkTypes = errors.New("link types cannot be compared")

// ReadError means that one of the captures could not be read to its end.
type ReadError struct {
	Side Side
	Err  error
}

func (e *ReadError) Error() string { return fmt.Sprintf("%s: %v", e.Side, e.Err) }
func (e *ReadError) Unwrap() error { return e.Err }

// Side is one of the two captures.
type Side int

// The sides.
const (
	Reference Side = iota
	Capture
)

func (s Side) String() string { return [...]string{"reference", "capture"}[s] }

// The names of the events of packets that only one side has.
const (
	EventMissing = "missing"
	EventExtra   = "extra"
)

// Options are the options of a comparison.
type Options struct {
	// Speed is the intended speed of the capture relative to the reference. 0: to be
	// estimated.
	Speed float64
	// Memory is the approximate number of bytes to use.
	Memory int64
	// Tmp is the folder for temporary files. "" is that of the system.
	Tmp string
	// Events is the largest number of missing, and of extra, packets in the result.
	Events int
	// Damaged is called for every damaged place. Its error ends the comparison. It may be
	// nil.
	Damaged func(Side, *stream.Damage) error
	// Progressed is called regularly with the number of packets read since the last call.
	// It may be nil.
	Progressed func(packets int64)
}

// Result is the result of a comparison.
type Result struct {
	// Comparison has every field except the paths.
	record.Comparison
	// Series are both rates and the gap error over time.
	Series Series
	// GapErrors counts gap errors by [GapErrorBounds].
	GapErrors []int64
	// Missing and Extra are the first missing and extra packets. The events have neither
	// tool nor path.
	Missing, Extra []record.Unmatched
	// LinkTypesDiffer means that MAC addresses were not compared.
	LinkTypesDiffer bool
}

const (
	// lookAhead is how many more packets of the reference than of the capture are read
	// after the last pair, so that the packets that a packet may belong to are known when
	// it is read.
	lookAhead = 4096
	// minWindow is enough for the packets that are read ahead and those that wait.
	minWindow = 8 * lookAhead
	// packetMemory is the memory of a packet in a window: the packet, and its three chains,
	// if no packet has a partner and the tables have just grown.
	packetMemory = int64(unsafe.Sizeof(packet{}) + 3*(unsafe.Sizeof(uint64(0))+unsafe.Sizeof(chain{}))*2*ofSlots/fullSlots)
	// minLeftovers keeps the number of runs in the file small.
	minLeftovers = 1 << 14
	// leftoverShare divides the memory for the leftovers of each side.
	leftoverShare = 8
)

// join pairs the packets of both sides.
type join struct {
	options Options
	feeds   [2]*feed
	// windows hold the packets of both sides. exact has the chains of all packets of the
	// reference, and of the packets of the capture that wait for a partner.
	windows [2]*window
	exact   [2]*chains
	orphans [2]*chains // by their other keys
	left    [2]*leftovers
	clock   clock
	last    [2]int64 // numbers of the last pair
	highest int64    // number of the last packet of the reference that has a partner

	result Result
	timing *timing // nil until the first packet leaves a window
	order  order
}

// Compare reads both captures to their ends. The error is a [*ReadError], [ErrLinkTypes], that
// of Options.Damaged, or that of a temporary file. After an error, a Read may still be
// running.
func Compare(reference, capture Reader, options Options) (*Result, error) {
	j := &join{options: options, feeds: [2]*feed{newFeed(reference), newFeed(capture)}, clock: newClock(options.Speed), last: [2]int64{nobody, nobody}}
	size := max((options.Memory-options.Memory*2/leftoverShare)/2/packetMemory, minWindow)
	for side := range j.windows {
		j.windows[side] = newWindow(size)
		j.exact[side], j.orphans[side] = newChains(j.windows[side]), newChains(j.windows[side])
		j.left[side] = &leftovers{limit: max(int(options.Memory/leftoverShare/int64(unsafe.Sizeof(leftover{}))), minLeftovers), folder: options.Tmp}
		defer j.left[side].close()
	}
	if err := j.begin(); err != nil {
		return nil, err
	}
	if err := j.read(); err != nil {
		return nil, err
	}
	if err := j.drain(); err != nil {
		return nil, err
	}
	return j.end()
}

// begin reads the first packets, from which link types and snaplens are known.
func (j *join) begin() error {
	var types [2]stream.LinkType
	seed := newSeed()
	snaplen := math.MaxInt
	for side, f := range j.feeds {
		f.read()
		for f.err != nil && isDamage(f.err) && len(f.packets) == 0 {
			if err := j.damaged(Side(side), f.err); err != nil {
				return err
			}
			f.read()
		}
		f.seed = seed
		if len(f.packets) > 0 {
			types[side] = f.packets[0].LinkType
			f.stats.LinkName = types[side].String()
		}
		if s := f.reader.Section().Snaplen; s > 0 {
			snaplen = min(snaplen, int(s))
		}
	}
	bothHavePackets := len(j.feeds[Reference].packets) > 0 && len(j.feeds[Capture].packets) > 0
	if bothHavePackets && types[Reference] != types[Capture] {
		j.result.LinkTypesDiffer = true
		if !frame.BecomesEthernet(types[Reference]) || !frame.BecomesEthernet(types[Capture]) {
			return fmt.Errorf("%w: reference %s, capture %s", ErrLinkTypes, types[Reference], types[Capture])
		}
	}
	for _, f := range j.feeds {
		f.snaplen, f.addressless = snaplen, j.result.LinkTypesDiffer
	}
	return nil
}

// damaged counts an error that is damage.
func (j *join) damaged(side Side, err error) error {
	var damage *stream.Damage
	if !errors.As(err, &damage) {
		return nil
	}
	j.feeds[side].stats.Damaged++
	j.feeds[side].stats.LostBytes += damage.Lost
	if j.options.Damaged == nil {
		return nil
	}
	return j.options.Damaged(side, damage)
}

// read reads both sides to their ends.
func (j *join) read() error {
	stop := make(chan struct{})
	defer close(stop)
	for _, f := range j.feeds {
		go f.run(stop)
	}
	for !j.feeds[Reference].ended || !j.feeds[Capture].ended {
		side := j.next()
		f := j.feeds[side]
		b := <-f.batches
		if err := f.take(b); err != nil {
			return &ReadError{side, err}
		}
		if err := j.damaged(side, b.err); err != nil {
			return err
		}
		for i := range b.packets {
			if err := j.add(side, &b.packets[i]); err != nil {
				return err
			}
		}
		f.release(b)
		if j.options.Progressed != nil {
			j.options.Progressed(int64(len(b.packets)))
		}
	}
	return nil
}

// next returns the side to read next.
func (j *join) next() Side {
	r, c := j.windows[Reference], j.windows[Capture]
	aheadR, aheadC := r.end-j.last[Reference], c.end-j.last[Capture]
	switch {
	case j.feeds[Reference].ended:
		return Capture
	case j.feeds[Capture].ended:
		return Reference
	case j.last[Capture] == nobody && r.end+batchPackets > r.size:
		return Capture // it is more likely to begin with other packets
	case min(aheadR, aheadC) > r.size/4 && j.clock.count > clockPairs:
		// Many packets are on one side only. The times decide.
		if j.clock.offset(j.feeds[Reference].latest, j.feeds[Capture].latest) < 0 {
			return Capture
		}
		return Reference
	case aheadR <= aheadC+lookAhead:
		return Reference
	}
	return Capture
}

// add adds a packet to the window of its side, and finds its partner if that was read.
func (j *join) add(side Side, p *packet) error {
	w := j.windows[side]
	if w.isFull() {
		if err := j.retire(side); err != nil {
			return err
		}
	}
	place, number := w.add()
	*place = *p
	if side == Reference {
		j.addReference(number)
	} else {
		j.addCapture(number)
	}
	for w.end-w.aged > w.size/2 {
		j.age(side)
	}
	return nil
}

func (j *join) addReference(number int64) {
	p := j.windows[Reference].at(number)
	all := j.exact[Reference]
	all.add(exactKey, number)
	waiting := j.exact[Capture]
	list := waiting.find(exactKey, p.keys[exactKey])
	if list == nil {
		return
	}
	for waiting.advance(list, exactKey) {
		candidate := waiting.number(list.cursor)
		c := waiting.window.at(candidate)
		same := all.find(exactKey, p.keys[exactKey])
		if same.length > 1 && j.isRather(all.window.at(all.number(same.latest)), p, c) {
			c.flags |= suspected
			waiting.step(list, c, exactKey)
			continue
		}
		j.pair(number, candidate)
		same.latest = uint32(number)
		return
	}
}

// isRather reports whether, by its time, packet c of the capture is more likely a duplicate of
// paired, which has a partner, than the partner of other.
func (j *join) isRather(paired, other, c *packet) bool {
	return paired.partner != nobody && j.clock.miss(paired.time, c.time)+j.clock.guard(true) < j.clock.miss(other.time, c.time)
}

func (j *join) addCapture(number int64) {
	c := j.windows[Capture].at(number)
	all := j.exact[Reference]
	list := all.find(exactKey, c.keys[exactKey])
	if list == nil || !all.advance(list, exactKey) {
		c.flags |= waits
		j.exact[Capture].add(exactKey, number)
		return
	}
	if partner := j.choose(all, list, exactKey, c); partner != nobody {
		j.pair(partner, number)
		list.latest = uint32(partner)
	} else {
		c.flags |= suspected
	}
}

// maxPassed is the largest number of packets with the same bytes that may be missing in a row
// so that the next one is still recognized by its time.
const maxPassed = 4096

// choose returns the packet of a chain that a packet of the capture belongs to: the next one,
// unless the times say clearly that it is a later one. It returns nobody if it is one that has
// a partner already. There must be a next one.
func (j *join) choose(all *chains, list *chain, kind keyKind, c *packet) int64 {
	number := all.number(list.cursor)
	if list.length == 1 {
		return number
	}
	best, bestMiss, bestSteps := int64(nobody), math.Inf(1), 0
	short := list.cursor
	for step := range int(min(list.left, maxPassed)) {
		candidate, number := all.window.at(all.number(short)), all.number(short)
		short = candidate.next[kind]
		if candidate.partner != nobody {
			continue
		}
		miss := j.clock.miss(candidate.time, c.time)
		fits := miss <= j.clock.guard(number > j.highest)
		if step == 0 && fits {
			return number
		}
		if fits && miss < bestMiss {
			best, bestMiss, bestSteps = number, miss, step
		} else if j.clock.isEarly(candidate.time, c.time, 0) {
			break // and so are all that follow
		}
	}
	if best == nobody {
		best = number
	}
	if list.latest != list.cursor && j.isRather(all.window.at(all.number(list.latest)), all.window.at(best), c) {
		return nobody
	}
	for range bestSteps {
		all.step(list, all.window.at(all.number(list.cursor)), kind)
	}
	return best
}

// pair makes partners of two packets, by their numbers.
func (j *join) pair(reference, capture int64) {
	r, c := j.windows[Reference].at(reference), j.windows[Capture].at(capture)
	r.partner, r.partnerTime = capture, c.time
	c.partner, c.partnerTime = reference, r.time
	if c.is(untimed) {
		r.flags |= partnerUntimed
	}
	if r.is(untimed) {
		c.flags |= partnerUntimed
	}
	if capture > j.last[Capture] { // otherwise it has waited, and the clock has later pairs
		j.last = [2]int64{reference, capture}
		if !r.is(untimed) && !c.is(untimed) {
			j.clock.add(r.time, c.time)
		}
	}
	j.highest = max(j.highest, reference)
	j.result.countPair(r, c)
}

// age searches the partner of a packet that has waited long enough for the same bytes, among
// the packets of the other side that have waited as long.
func (j *join) age(side Side) {
	w := j.windows[side]
	number := w.aged
	w.aged++
	p := w.at(number)
	if p.partner != nobody {
		return
	}
	if side == Capture && j.ageCapture(number, p) {
		return
	}
	for _, kind := range []keyKind{rewrittenKey, headerKey} {
		if p.keys[kind] != 0 && j.pairOrphan(side, number, kind) {
			return
		}
	}
	p.flags |= orphan
	j.orphans[side].add(rewrittenKey, number)
	if p.keys[headerKey] != 0 {
		j.orphans[side].add(headerKey, number)
	}
}

// ageCapture reports whether a packet of the capture has the bytes of a packet of the
// reference that was passed over or has a partner.
func (j *join) ageCapture(number int64, c *packet) bool {
	all := j.exact[Reference]
	list := all.find(exactKey, c.keys[exactKey])
	if list == nil {
		return false
	}
	c.flags |= duplicate
	short := list.head
	for range list.length {
		if list.passed == 0 {
			return true
		}
		p := all.window.at(all.number(short))
		if p.partner == nobody && all.number(short) < j.windows[Reference].aged {
			list.passed--
			c.flags &^= duplicate
			j.pair(all.number(short), number)
			return true
		}
		short = p.next[exactKey]
	}
	return true
}

// pairOrphan pairs a packet with one that has the same key of one kind and has also waited long
// enough for the same bytes.
func (j *join) pairOrphan(side Side, number int64, kind keyKind) bool {
	p, orphans := j.windows[side].at(number), j.orphans[1-side]
	list := orphans.find(kind, p.keys[kind])
	if list == nil || !orphans.advance(list, kind) {
		return false
	}
	partner := orphans.number(list.cursor)
	if side == Reference {
		j.pair(number, partner)
		return true
	}
	if partner = j.choose(orphans, list, kind, p); partner == nobody {
		return false
	}
	j.pair(partner, number)
	list.latest = uint32(partner)
	return true
}

// drain pairs the packets that remain when both sides have been read.
func (j *join) drain() error {
	for _, side := range []Side{Reference, Capture} {
		for w := j.windows[side]; w.aged < w.end; {
			j.age(side)
		}
	}
	for _, side := range []Side{Reference, Capture} {
		for w := j.windows[side]; w.first < w.end; {
			if err := j.retire(side); err != nil {
				return err
			}
		}
	}
	return nil
}

// retire removes the oldest packet of a window, and counts its result.
func (j *join) retire(side Side) error {
	if j.timing == nil {
		j.timing = newTiming(j)
	}
	w := j.windows[side]
	number := w.first
	p := w.at(number)
	var err error
	if side == Reference {
		err = j.retireReference(number, p)
		j.exact[side].removeOldest(exactKey)
	} else {
		err = j.retireCapture(number, p)
		if p.is(waits) {
			j.exact[side].removeOldest(exactKey)
		}
	}
	if p.is(orphan) {
		j.orphans[side].removeOldest(rewrittenKey)
		if p.keys[headerKey] != 0 {
			j.orphans[side].removeOldest(headerKey)
		}
	}
	w.first++
	return err
}

func (j *join) retireReference(number int64, r *packet) error {
	j.timing.addReference(r)
	if r.partner != nobody {
		return nil
	}
	j.result.Comparison.Missing++
	if len(j.result.Missing) < j.options.Events {
		j.result.Missing = append(j.result.Missing, r.event(EventMissing, number))
	}
	return j.left[Reference].add(leftover{key: r.keys[exactKey], number: number})
}

func (j *join) retireCapture(number int64, c *packet) error {
	j.timing.addCapture(c)
	if c.partner != nobody {
		j.order.add(c.partner)
		return nil
	}
	if c.is(duplicate) || j.orphans[Reference].find(rewrittenKey, c.keys[rewrittenKey]) != nil {
		c.flags |= duplicate
		j.result.Duplicated++
	} else {
		j.result.Comparison.Extra++
		if len(j.result.Extra) < j.options.Events {
			j.result.Extra = append(j.result.Extra, c.event(EventExtra, number))
		}
	}
	return j.left[Capture].add(leftover{key: c.keys[exactKey], number: number, duplicate: c.is(duplicate)})
}

// end pairs the leftovers, and computes the sums.
func (j *join) end() (*Result, error) {
	r := &j.result
	err := pairLeftovers(j.left[Reference], j.left[Capture], func(reference, capture leftover) {
		r.Matched++
		r.Displaced++
		r.Comparison.Missing--
		r.Missing = without(r.Missing, reference.number)
		if capture.duplicate {
			r.Duplicated--
		} else {
			r.Comparison.Extra--
			r.Extra = without(r.Extra, capture.number)
		}
	})
	if err != nil {
		return nil, err
	}
	r.Reference, r.Capture = j.feeds[Reference].stats, j.feeds[Capture].stats
	r.Spilled = j.left[Reference].size + j.left[Capture].size
	r.Reordered, r.ReorderingExtent = j.order.reordered, j.order.extent
	if j.timing == nil {
		j.timing = newTiming(j)
	}
	j.timing.end(r)
	return r, nil
}

// without removes the event of a packet whose partner was found later.
func without(events []record.Unmatched, number int64) []record.Unmatched {
	i, found := slices.BinarySearchFunc(events, number+1, func(e record.Unmatched, packet int64) int { return cmp.Compare(e.Packet, packet) })
	if !found {
		return events
	}
	return slices.Delete(events, i, i+1)
}

package merge

import (
	"cmp"
	"io"
	"math"
	"slices"

	"pcap-replay/stream"
)

// maxBatch is the largest number of packets of one source that are read at a time.
const maxBatch = 512

// Options are the options of a merge.
type Options struct {
	// Mixed allows several link types.
	Mixed bool
	// Trouble is called with the error of an input. The input ends there, unless the
	// error is a [*stream.Damage]. If Trouble returns an error, the merge ends.
	Trouble func(*Input, error) error
}

// Merger merges inputs.
type Merger struct {
	options   Options
	linkTypes linkTypes
	pending   []ranked // by start, then in the order of the inputs
	ahead     *source  // opened before its time, the next one before pending; or nil
	tree      tournament
	sources   []*source // by leaf
	emptied   *source   // its batch has no packet left

	latest int64 // time that was returned
	late   int64
}

// ranked is an input with its number.
type ranked struct {
	*Input
	order int32
}

// source is an open input.
type source struct {
	ranked
	leaf    int32
	reader  Reader // nil if it could not be opened: see openErr
	openErr error
	batch   []stream.Packet // of the reader
	next    int
	ended   bool
}

// New returns a Merger of inputs. It opens them shortly before their start and closes them
// at their end. Packets of equal time keep the order of the inputs.
func New(inputs []*Input, options Options) (*Merger, error) {
	known, err := checkLinkTypes(inputs, options)
	if err != nil {
		return nil, err
	}
	m := &Merger{options: options, linkTypes: known, latest: math.MinInt64}
	m.pending = make([]ranked, len(inputs))
	for i, input := range inputs {
		m.pending[i] = ranked{input, int32(i)}
	}
	slices.SortStableFunc(m.pending, func(a, b ranked) int { return cmp.Compare(a.Start, b.Start) })
	return m, nil
}

// checkLinkTypes compares the link types that are known before inputs are opened.
func checkLinkTypes(inputs []*Input, options Options) (known linkTypes, err error) {
	for _, input := range inputs {
		if input.HasLinkType && !options.Mixed {
			if err := known.check(input, input.LinkType); err != nil {
				return known, err
			}
		}
	}
	return known, nil
}

// Late is the number of packets that were returned after one with a later time.
func (m *Merger) Late() int64 { return m.late }

// Read returns the next packets in order. Their data is valid until the next Read, and the
// caller may write to it.
// An error that is not io.EOF is from Options.Trouble or a [*LinkTypesError].
func (m *Merger) Read(dst []stream.Packet) (n int, err error) {
	if err := m.prepare(); err != nil {
		return 0, err
	}
	if m.tree.empty() {
		return 0, io.EOF
	}
	last := int64(math.MaxInt64) // time before which no input has to be opened
	if m.ahead != nil {
		last = m.ahead.Start - 1 // there is a packet before it: see prepare
	}
	latest := m.latest
	for n < len(dst) {
		s := m.sources[m.tree.winner()]
		packet := &s.batch[s.next]
		if packet.Time > last {
			break
		}
		if packet.Time < latest {
			m.late++
		} else {
			latest = packet.Time
		}
		dst[n] = *packet
		n++
		s.next++
		if s.next == len(s.batch) {
			m.emptied = s // reading on would overwrite the data of dst
			break
		}
		m.tree.update(s.leaf, s.batch[s.next].Time)
	}
	m.latest = latest
	return n, nil
}

// prepare makes every open source have a packet ready, and opens every input whose start
// has come.
func (m *Merger) prepare() error {
	if s := m.emptied; s != nil {
		m.emptied = nil
		if err := m.refill(s); err != nil {
			return err
		}
		if len(s.batch) > 0 {
			m.tree.update(s.leaf, s.batch[0].Time)
		} else {
			m.tree.leave(s.leaf)
			m.sources[s.leaf] = nil
			s.reader.Close()
		}
	}
	if m.ahead == nil {
		m.openAhead()
	}
	for m.ahead != nil && (m.tree.empty() || m.ahead.Start <= m.tree.time(m.tree.winner())) {
		s := m.ahead
		m.openAhead()
		if err := m.enter(s); err != nil {
			return err
		}
	}
	return nil
}

// openAhead opens the next input before its start, so that its first packets are read and
// sorted in the meantime. Its errors are reported when its time has come.
func (m *Merger) openAhead() {
	m.ahead = nil
	if len(m.pending) == 0 {
		return
	}
	s := &source{ranked: m.pending[0]}
	m.pending = m.pending[1:]
	s.reader, s.openErr = s.open(blockSize(m.tree.occupied + 1))
	m.ahead = s
}

// enter adds an open input to the tournament, if it has a packet.
func (m *Merger) enter(s *source) error {
	if s.openErr != nil {
		return m.options.Trouble(s.Input, s.openErr)
	}
	if err := m.refill(s); err != nil {
		s.reader.Close()
		return err
	}
	if len(s.batch) == 0 {
		s.reader.Close()
		return nil
	}
	s.leaf = m.tree.enter(s.order, s.batch[0].Time)
	for int(s.leaf) >= len(m.sources) {
		m.sources = append(m.sources, nil)
	}
	m.sources[s.leaf] = s
	return nil
}

// refill reads the next batch of a source, which is empty at the end.
func (m *Merger) refill(s *source) error {
	s.next, s.batch = 0, nil
	for len(s.batch) == 0 && !s.ended {
		batch, err := s.reader.Next()
		s.batch = batch
		if err := m.checkLinkTypes(s); err != nil {
			return err
		}
		if err == nil {
			continue
		}
		s.ended = !isDamage(err)
		if err != io.EOF {
			if err := m.options.Trouble(s.Input, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Merger) checkLinkTypes(s *source) error {
	if m.options.Mixed {
		return nil
	}
	for i := range s.batch {
		if linkType := s.batch[i].LinkType; linkType != m.linkTypes.known || m.linkTypes.first == nil {
			if err := m.linkTypes.check(s.Input, linkType); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckLinkTypes compares the link types of packets that the last Read returned. A caller that
// changes link types uses it with Options.Mixed. The error is a [*LinkTypesError].
func (m *Merger) CheckLinkTypes(packets []stream.Packet) error {
	for i := range packets {
		if linkType := packets[i].LinkType; linkType != m.linkTypes.known || m.linkTypes.first == nil {
			if err := m.linkTypes.check(m.inputOf(packets[i].Time), linkType); err != nil {
				return err
			}
		}
	}
	return nil
}

// inputOf returns an input of which the last Read returned a packet with this time.
func (m *Merger) inputOf(time int64) *Input {
	for _, s := range m.sources {
		if s != nil && slices.ContainsFunc(s.batch[:s.next], func(p stream.Packet) bool { return p.Time == time }) {
			return s.Input
		}
	}
	return nil
}

// Close closes the inputs that are still open.
func (m *Merger) Close() error {
	for _, s := range append(m.sources, m.ahead) {
		if s != nil && s.reader != nil {
			s.reader.Close()
		}
	}
	m.sources, m.ahead, m.pending, m.emptied, m.tree = nil, nil, nil, nil, tournament{}
	return nil
}

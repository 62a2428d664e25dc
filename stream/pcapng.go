package stream

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"pcap-replay/internal/plural"
)

// The block types of pcapng that hold what we want: draft-ietf-opsawg-pcapng,
// section 11.1. Others are skipped.
const (
	blockInterface      = 1
	blockPacket         = 2 // obsolete
	blockSimplePacket   = 3
	blockStatistics     = 5
	blockEnhancedPacket = 6
	blockSecrets        = 0x0a
	blockCustom         = 0x00000bad
	blockCustomNoCopy   = 0x40000bad
)

const (
	minBlockLength          = 12 // type, length, length again
	minSectionBlockLength   = 28
	minInterfaceBlockLength = 20 // without options
	// maxBlockLength is the limit of libpcap and Wireshark, in bytes.
	maxBlockLength = 16 << 20
	// maxInterfaces limits the memory for the interfaces of a section.
	maxInterfaces = 1 << 16
)

const (
	optionEnd              = 0
	optionPacketFlags      = 2  // epb_flags and pack_flags
	optionTimeResolution   = 9  // if_tsresol
	optionFCSLength        = 13 // if_fcslen
	optionTimeOffset       = 14 // if_tsoffset
	defaultTimeResolution  = 6
	resolutionIsPowerOfTwo = 0x80
)

// networkInterface has the fields of an interface description block.
type networkInterface struct {
	linkType  LinkType
	snaplen   uint32
	fcsLength uint32 // bytes of the frame check sequence that each frame ends in
	clock     interfaceClock
}

// interfaceClock turns the timestamps of an interface into nanoseconds.
type interfaceClock struct {
	multiply, divide uint64 // for decimal resolutions
	shift            uint   // for binary resolutions, of 2^-shift seconds
	offset           int64  // seconds
}

func newInterfaceClock(resolution byte, offset int64) interfaceClock {
	c := interfaceClock{multiply: 1, divide: 1, offset: offset}
	exponent := uint(resolution &^ resolutionIsPowerOfTwo)
	switch {
	case resolution&resolutionIsPowerOfTwo != 0:
		c.shift, c.multiply = exponent, 1e9
	case exponent <= 9:
		c.multiply = powerOfTen(9 - exponent)
	case exponent <= 28:
		c.divide = powerOfTen(exponent - 9)
	default:
		c.multiply = 0 // no nanosecond in 64 bits
	}
	return c
}

func powerOfTen(exponent uint) uint64 {
	power := uint64(1)
	for range exponent {
		power *= 10
	}
	return power
}

// time returns nanoseconds since the Unix epoch. A time out of range becomes the earliest or
// the latest one.
func (c *interfaceClock) time(units uint64) int64 {
	high, low := bits.Mul64(units, c.multiply)
	switch {
	case c.shift >= 64:
		low, high = high>>min(c.shift-64, 63), 0
	case c.shift > 0:
		low, high = low>>c.shift|high<<(64-c.shift), high>>c.shift
	case c.divide > 1: // then multiply is 1 and high is 0
		low /= c.divide
	}
	if c.offset != 0 {
		return c.addOffset(high, low)
	}
	if high != 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}

// addOffset adds the offset to nanoseconds of 128 bits: only the sum has to be in range. A
// sum out of range becomes the earliest or the latest time.
func (c *interfaceClock) addOffset(high, low uint64) int64 {
	if high >= 1e9 {
		return math.MaxInt64
	}
	seconds, rest := bits.Div64(high, low, 1e9)
	sum := int64(seconds) + c.offset
	switch {
	case seconds > math.MaxInt64 || c.offset > math.MaxInt64-int64(seconds) || sum > (math.MaxInt64-int64(rest))/1e9:
		return math.MaxInt64
	case sum < math.MinInt64/int64(1e9):
		return math.MinInt64
	}
	return sum*1e9 + int64(rest)
}

func isBlockLength(length uint32) bool {
	return length >= minBlockLength && length <= maxBlockLength && length%4 == 0
}

// isKnownBlock reports whether records may begin with a block of this type after
// damage: draft-ietf-opsawg-pcapng, section 11.1.
func isKnownBlock(kind uint32) bool {
	return kind >= blockInterface && kind <= blockSecrets ||
		kind == blockCustom || kind == blockCustomNoCopy || kind == magicSectionBlock
}

// takeBlocks puts the packets of complete and intact blocks into dst, up to the first
// block that needs a closer look: a section header, an interface, or a broken one.
func (r *Reader) takeBlocks(dst []Packet) (n int) {
	order := r.order
	for n < len(dst) {
		unread := r.block[r.start:r.end]
		if len(unread) < minBlockLength {
			break
		}
		kind, length := order.Uint32(unread), order.Uint32(unread[4:])
		if kind == magicSectionBlock || kind == blockInterface || !isBlockLength(length) || len(unread) < int(length) {
			break
		}
		block := unread[:length:length]
		if order.Uint32(block[length-4:]) != length && r.Offset() > r.trusted {
			break
		}
		if isPacketBlock(kind) {
			if kind == blockSimplePacket && !r.hasTime {
				break
			}
			if r.parsePacketBlock(kind, block, &dst[n]) != "" {
				break
			}
			n++
		} else if !isRegisteredBlock(kind) {
			r.addUnknownBlock(kind, length)
		}
		r.start += int(length)
	}
	r.records += int64(n)
	r.previous = r.start
	return n
}

// UnknownBlocks counts the pcapng blocks of one type that is not registered: a private
// one, or one whose type is damaged. The Reader skips them.
type UnknownBlocks struct {
	Type   uint32
	Blocks int64
	Bytes  int64
}

// maxUnknownTypes is the number of types that are counted separately. All others count as the
// last one.
const maxUnknownTypes = 16

// UnknownBlocks returns the blocks of unknown types that the Reader has skipped so far,
// in the order in which their types appeared: at most 16 types.
func (r *Reader) UnknownBlocks() []UnknownBlocks { return slices.Clone(r.unknown) }

func (r *Reader) addUnknownBlock(kind, length uint32) {
	i := slices.IndexFunc(r.unknown, func(u UnknownBlocks) bool { return u.Type == kind })
	switch {
	case i >= 0:
	case len(r.unknown) == maxUnknownTypes:
		i = maxUnknownTypes - 1
	default:
		i = len(r.unknown)
		r.unknown = append(r.unknown, UnknownBlocks{Type: kind})
	}
	r.unknown[i].Blocks++
	r.unknown[i].Bytes += int64(length)
}

// isRegisteredBlock reports whether a block type is registered: draft-ietf-opsawg-pcapng,
// section 11.1. 0x101 to 0x10d are those of Hone, 0x201 to 0x216 those of Sysdig.
func isRegisteredBlock(kind uint32) bool {
	return isKnownBlock(kind) || kind >= 0x101 && kind <= 0x10d || kind >= 0x201 && kind <= 0x216
}

func isPacketBlock(kind uint32) bool {
	return kind == blockEnhancedPacket || kind == blockSimplePacket || kind == blockPacket
}

// parsePacketBlock reads a packet block into packet, or describes what is wrong with it.
func (r *Reader) parsePacketBlock(kind uint32, block []byte, packet *Packet) (problem string) {
	order := r.order
	if least := leastPacketBlock(kind); len(block) < least {
		return fmt.Sprintf("packet block: wanted at least %d bytes, got %d", least, len(block))
	}
	interfaceID, units, timed := timestampField(order, kind, block)
	var captured, wire uint32
	header := 28
	if timed {
		captured, wire = order.Uint32(block[20:]), order.Uint32(block[24:])
	} else { // a simple packet block, always of the first interface
		header = 12
		wire = order.Uint32(block[8:])
		captured = min(wire, uint32(len(block)-16))
		if len(r.interfaces) > 0 && r.interfaces[0].snaplen > 0 {
			captured = min(captured, r.interfaces[0].snaplen)
		}
	}
	if int(interfaceID) >= len(r.interfaces) {
		return fmt.Sprintf("packet of interface %d, but the section has %d", interfaceID, len(r.interfaces))
	}
	if room := len(block) - header - 4; int64(captured) > int64(room) {
		return fmt.Sprintf("captured length %d, but the block holds %s", captured, plural.Of(room, "byte"))
	}
	from := &r.interfaces[interfaceID]
	if limit := from.linkType.MaxCaptureLength(); captured > limit {
		return fmt.Sprintf("captured length %d is over %d", captured, limit)
	}
	if timed {
		r.lastTime, r.hasTime = from.clock.time(units), true
		r.reference, r.hasReference = r.lastTime, true
	}
	packet.Time, packet.Untimed = r.lastTime, !timed
	packet.Data = block[header : header+int(captured) : header+int(captured)]
	packet.WireLength = wire
	packet.LinkType, packet.Direction = from.linkType, DirectionUnknown
	fcsLength := from.fcsLength
	if end := header + (int(captured)+3)&^3; timed && end+4 < len(block) {
		flags := flagsOption(order, block[end:len(block)-4])
		if direction := Direction(flags & 3); direction <= Outbound { // the value 3 has no meaning
			packet.Direction = direction
		}
		if length := flags >> 5 & 15; length > 0 { // it overrides that of the interface
			fcsLength = length
		}
	}
	if fcsLength > 0 && r.withoutFCS {
		packet.cutFCS(fcsLength)
	}
	return ""
}

// flagsOption returns the flags word among the options of a packet block, or 0:
// draft-ietf-opsawg-pcapng, section 4.3.1.
func flagsOption(order binary.ByteOrder, options []byte) uint32 {
	for len(options) >= 4 {
		code, length := order.Uint16(options), int(order.Uint16(options[2:]))
		options = options[4:]
		if code == optionPacketFlags && length == 4 && len(options) >= 4 {
			return order.Uint32(options)
		}
		if code == optionEnd {
			break
		}
		options = options[min((length+3)&^3, len(options)):]
	}
	return 0
}

// timeAheadReach is the distance up to which timeAhead looks, in bytes.
const timeAheadReach = 64 << 10

// timeAhead returns the first timestamp of the blocks that follow. A packet without a
// timestamp at the beginning of a section gets this one.
func (r *Reader) timeAhead() int64 {
	order := r.order
	interfaces := slices.Clip(r.interfaces) // the blocks ahead may describe more
	for offset := 0; offset < timeAheadReach && r.fill(offset+32); {
		ahead := r.unread()[offset:]
		kind, length := order.Uint32(ahead), order.Uint32(ahead[4:])
		if kind == magicSectionBlock || !isBlockLength(length) {
			break
		}
		if id, units, ok := timestampField(order, kind, ahead); ok && int(id) < len(interfaces) {
			return interfaces[id].clock.time(units)
		}
		if kind == blockInterface && length >= minInterfaceBlockLength && r.fill(offset+int(length)) {
			described, _ := parseInterface(order, r.unread()[offset:][:length])
			interfaces = append(interfaces, described)
		}
		offset += int(length)
	}
	return 0
}

// timestampField reads the interface and the timestamp of a packet block that
// has them.
func timestampField(order binary.ByteOrder, kind uint32, block []byte) (interfaceID uint32, units uint64, ok bool) {
	switch kind {
	case blockEnhancedPacket:
		interfaceID = order.Uint32(block[8:])
	case blockPacket:
		interfaceID = uint32(order.Uint16(block[8:]))
	default:
		return 0, 0, false
	}
	return interfaceID, uint64(order.Uint32(block[12:]))<<32 | uint64(order.Uint32(block[16:])), true
}

// nextBlock reads until the block buffer has the whole next block, and handles a block that
// takeBlocks does not take.
func (r *Reader) nextBlock() error {
	if !r.fill(minBlockLength) {
		return r.endOfSection("block header", minBlockLength)
	}
	order := r.order
	if order.Uint32(r.unread()) == magicSectionBlock {
		return r.beginSection()
	}
	kind, length := order.Uint32(r.unread()), order.Uint32(r.unread()[4:])
	if (!isKnownBlock(kind) || !isBlockLength(length)) && r.isCaptureAt(0) {
		r.inSection = false
		return nil
	}
	if !isBlockLength(length) {
		return r.resynchronise(fmt.Sprintf("block length %d is not a multiple of 4 from %d to %d", length, minBlockLength, maxBlockLength))
	}
	if !r.fill(int(length)) {
		return r.resynchroniseTruncated(fmt.Sprintf("block: wanted %d bytes, got %d", length, len(r.unread())))
	}
	block := r.unread()[:length]
	if again := order.Uint32(block[length-4:]); again != length && r.Offset() > r.trusted {
		damage := r.damage(fmt.Sprintf("block length is %d at its beginning and %d at its end", length, again))
		if !r.isBlockBehind(kind, int(length)) {
			return r.resynchronise(damage.Reason)
		}
		r.trusted = r.Offset() // only the second length is broken
		return damage
	}
	problem, lost := "", int64(length)
	switch {
	case kind == blockInterface && len(r.interfaces) == maxInterfaces:
		return r.skipInterfaces()
	case kind == blockInterface:
		problem, lost = r.addInterface(block)
		r.start += int(length)
		r.previous = r.start
	case kind == blockSimplePacket && !r.hasTime:
		r.lastTime, r.hasTime = r.timeAhead(), true
	case isPacketBlock(kind):
		var packet Packet
		if problem = r.parsePacketBlock(kind, block, &packet); problem != "" {
			r.start += int(length)
		}
	}
	if problem != "" {
		return &Damage{Offset: r.Offset() - int64(length), Lost: lost, Record: r.records + 1, Reason: problem}
	}
	return nil
}

// isBlockBehind reports whether a block is intact except for its second length: its contents
// are valid, and a valid block or the end of the stream follows after length bytes.
func (r *Reader) isBlockBehind(kind uint32, length int) bool {
	interfaces := len(r.interfaces)
	switch {
	case kind == blockInterface: // without it, its packets would be lost
		interfaces++
	case !isKnownBlock(kind) || !isBodyValid(r.order, kind, r.unread()[:length], interfaces):
		return false
	}
	if !r.fill(length + minBlockLength) {
		return len(r.unread()) == length
	}
	kind, next := r.order.Uint32(r.unread()[length:]), r.order.Uint32(r.unread()[length+4:])
	if !isKnownBlock(kind) || !isBlockLength(next) || !r.fill(length+int(next)) {
		return false
	}
	block := r.unread()[length:][:next]
	if isPacketBlock(kind) {
		return isBodyValid(r.order, kind, block, interfaces)
	}
	return isBlockValid(r.order, kind, block, interfaces)
}

// beginSection reads a section header block. Its length field is meaningless
// before the byte order is known.
func (r *Reader) beginSection() error {
	order := sectionByteOrder(r.unread())
	if order == nil {
		return r.badFileHeader(fmt.Sprintf("section header: byte-order magic %#08x, wanted %#08x",
			binary.LittleEndian.Uint32(r.unread()[8:]), uint32(magicByteOrder)))
	}
	length := order.Uint32(r.unread()[4:])
	if !isBlockLength(length) || length < minSectionBlockLength {
		return r.badFileHeader(fmt.Sprintf("section header: length %d is not a multiple of 4 from %d to %d",
			length, minSectionBlockLength, maxBlockLength))
	}
	if !r.fill(int(length)) {
		return r.badFileHeader(fmt.Sprintf("section header: wanted %d bytes, got %d", length, len(r.unread())))
	}
	block := r.unread()[:length]
	r.order = order
	r.interfaces = r.interfaces[:0]
	r.startSection(Section{Format: FormatPcapNG, ByteOrder: order})
	offset := r.Offset()
	r.start += int(length)
	if major, minor := order.Uint16(block[12:]), order.Uint16(block[14:]); major != 1 || minor != 0 && minor != 2 {
		// Version 1.2 is to be read as 1.0: draft-ietf-opsawg-pcapng, section 4.1.
		return &Damage{Offset: offset, Record: r.records + 1, Reason: fmt.Sprintf("section header: version %d.%d, wanted 1.0; read as 1.0", major, minor)}
	}
	return nil
}

// leastPacketBlock is the length of a packet block without data, in bytes.
func leastPacketBlock(kind uint32) int {
	if kind == blockSimplePacket {
		return 16
	}
	return 32
}

// addInterface reads an interface description block, or describes what is wrong with it and
// returns how many bytes are lost. None are lost if only an option is wrong.
func (r *Reader) addInterface(block []byte) (problem string, lost int64) {
	if len(block) < minInterfaceBlockLength {
		return fmt.Sprintf("interface description block: wanted %d bytes, got %d", minInterfaceBlockLength, len(block)), int64(len(block))
	}
	described, problem := parseInterface(r.order, block)
	r.interfaces = append(r.interfaces, described)
	r.section.addSnaplen(described.snaplen, len(r.interfaces) == 1)
	r.addLinkType(described.linkType)
	return problem, 0
}

// parseInterface reads an interface description block of at least minInterfaceBlockLength
// bytes. problem describes an option that is wrong.
func parseInterface(order binary.ByteOrder, block []byte) (described networkInterface, problem string) {
	options, problem := parseInterfaceOptions(order, block[16:len(block)-4])
	return networkInterface{
		linkType: linkTypeOf(order.Uint16(block[8:])), snaplen: order.Uint32(block[12:]),
		fcsLength: options.fcsLength, clock: newInterfaceClock(options.resolution, options.offset),
	}, problem
}

// skipInterfaces skips the interface description blocks for which there is no room and which
// follow one another, and returns one damage for all of them: a stream may have millions. It
// returns after at most maxBlockLength bytes and a block, as after any other block.
func (r *Reader) skipInterfaces() error {
	damage := r.damage(fmt.Sprintf("over %d interfaces", maxInterfaces))
	length := r.order.Uint32(r.unread()[4:]) // of the first block, which nextBlock has checked
	for {
		r.start += int(length)
		r.previous = r.start
		damage.Lost += int64(length)
		if damage.Lost >= maxBlockLength || !r.fill(minBlockLength) || r.order.Uint32(r.unread()) != blockInterface {
			return damage
		}
		length = r.order.Uint32(r.unread()[4:])
		if !isBlockLength(length) || !r.fill(int(length)) || r.order.Uint32(r.unread()[length-4:]) != length {
			return damage
		}
	}
}

// interfaceOptions has the options of an interface about its timestamps and frames.
type interfaceOptions struct {
	resolution byte
	offset     int64
	fcsLength  uint32
}

// parseInterfaceOptions reads the options, or describes what is wrong with them. After a
// damaged option, none can be read, and the times may be a thousand times too large.
func parseInterfaceOptions(order binary.ByteOrder, options []byte) (parsed interfaceOptions, problem string) {
	parsed.resolution = defaultTimeResolution
	for len(options) >= 4 {
		code, length := order.Uint16(options), int(order.Uint16(options[2:]))
		options = options[4:]
		switch {
		case code == optionEnd:
			return parsed, problem
		case length > len(options):
			return parsed, fmt.Sprintf("interface description block: option %d of %s, but %d are left", code, plural.Of(length, "byte"), len(options))
		case code == optionTimeResolution && length == 1:
			parsed.resolution = options[0]
		case code == optionTimeOffset && length == 8:
			parsed.offset = int64(order.Uint64(options))
		case code == optionFCSLength && length == 1:
			parsed.fcsLength = interfaceFCSLength(options[0])
		case code == optionTimeResolution, code == optionTimeOffset:
			problem = fmt.Sprintf("interface description block: option %d of %s", code, plural.Of(length, "byte"))
		}
		options = options[min((length+3)&^3, len(options)):]
	}
	return parsed, problem
}

// interfaceFCSLength reads if_fcslen. Draft-ietf-opsawg-pcapng, section 4.2, counts it in
// bits, and gives 4 as its example; programs write bytes. No sequence has less than 16
// bits, or 16 bytes.
func interfaceFCSLength(value byte) uint32 {
	if value >= 16 {
		return uint32(value) / 8
	}
	return uint32(value)
}

// isBlockValid reports whether a whole block is valid in itself, in a section of as many
// interfaces.
func isBlockValid(order binary.ByteOrder, kind uint32, block []byte, interfaces int) bool {
	return order.Uint32(block[len(block)-4:]) == uint32(len(block)) && isBodyValid(order, kind, block, interfaces)
}

// isBodyValid is isBlockValid for the part between the two lengths. It accepts blocks of types
// that the Reader does not know.
func isBodyValid(order binary.ByteOrder, kind uint32, block []byte, interfaces int) bool {
	length := len(block)
	padded := func(n uint32) int { return int(min(n, maxBlockLength)+3) &^ 3 }
	switch kind {
	case magicSectionBlock:
		return length >= minSectionBlockLength && order.Uint16(block[12:]) == 1 && areOptionsValid(order, block[24:length-4])
	case blockInterface:
		return length >= minInterfaceBlockLength && order.Uint16(block[10:]) == 0 && areOptionsValid(order, block[16:length-4])
	case blockEnhancedPacket, blockPacket:
		if length < leastPacketBlock(kind) {
			return false
		}
		id, _, _ := timestampField(order, kind, block)
		end := 28 + padded(order.Uint32(block[20:]))
		return int(id) < interfaces && end <= length-4 && areOptionsValid(order, block[end:length-4])
	case blockSimplePacket:
		return length >= leastPacketBlock(kind) && interfaces > 0 && length-16 <= padded(order.Uint32(block[8:]))
	case blockStatistics:
		return length >= 24 && int(order.Uint32(block[8:])) < interfaces && areOptionsValid(order, block[20:length-4])
	case blockSecrets:
		return length >= 20 && 16+padded(order.Uint32(block[12:])) <= length-4
	case blockCustom, blockCustomNoCopy:
		return length >= 16
	}
	return true
}

// areOptionsValid reports whether options fill the bytes, and the option that ends them is
// the last one.
func areOptionsValid(order binary.ByteOrder, options []byte) bool {
	for len(options) >= 4 {
		code, length := order.Uint16(options), (int(order.Uint16(options[2:]))+3)&^3
		if code == optionEnd {
			return length == 0 && len(options) == 4
		}
		if options = options[4:]; length > len(options) {
			return false
		}
		options = options[length:]
	}
	return len(options) == 0
}

// sectionByteOrder returns the byte order of a section header block. It is nil if the magic
// number of the byte order is wrong.
func sectionByteOrder(block []byte) binary.ByteOrder {
	switch {
	case binary.LittleEndian.Uint32(block[8:]) == magicByteOrder:
		return binary.LittleEndian
	case binary.BigEndian.Uint32(block[8:]) == magicByteOrder:
		return binary.BigEndian
	}
	return nil
}

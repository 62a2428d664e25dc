package rewrite

// IPv4 options with addresses: RFC 791, section 3.1.
const (
	endOfOptions    = 0
	noOperation     = 1
	recordRoute     = 7
	timestampOption = 68
	looseRoute      = 131
	strictRoute     = 137

	optionLength  = 1 // offsets
	optionPointer = 2 // counts from 1
	routeData     = 3
	timestampFlag = 3
	timestampData = 4

	ipv4Address = 4
)

// rewriteIPv4Options changes the addresses in the options of a header, and returns the
// difference of their words. final is the difference of the destination in the
// pseudo-header of checksums. That is the last address of a source route, once the packet
// has arrived there: until then, the header has the next hop as its destination.
func (r *Rewriter) rewriteIPv4Options(options []byte, destination uint64) (all, final uint64, isWhole bool) {
	final = destination
	offset := 0
	for offset < len(options) && options[offset] != endOfOptions {
		if options[offset] == noOperation {
			offset++
			continue
		}
		length := 0
		if offset+optionLength < len(options) {
			length = int(options[offset+optionLength])
		}
		if length <= optionLength || offset+length > len(options) {
			return all, final, false
		}
		option := options[offset : offset+length]
		first, end, step := addressesOf(option)
		isUnfinished := isSourceRoute(option) && int(option[optionPointer]) <= length
		for at := first; at+ipv4Address <= end; at += step {
			difference := r.rewriteAddress(option[at:])
			all += atOffset(difference, offset+at)
			if isUnfinished {
				final = difference
			}
		}
		offset += length
	}
	return all, final, true
}

func isSourceRoute(option []byte) bool {
	return (option[0] == looseRoute || option[0] == strictRoute) && len(option) > routeData
}

// addressesOf returns where the addresses of an option begin and end, and the distance from
// one to the next.
func addressesOf(option []byte) (first, end, step int) {
	const withAddresses, prespecified = 1, 3 // flags
	if len(option) <= routeData {
		return 0, 0, ipv4Address
	}
	filled := min(int(option[optionPointer])-1, len(option))
	switch option[0] {
	case looseRoute, strictRoute:
		return routeData, len(option), ipv4Address
	case recordRoute:
		return routeData, filled, ipv4Address
	case timestampOption: // a timestamp of 4 bytes follows each address
		switch option[timestampFlag] & 0x0f {
		case withAddresses:
			return timestampData, filled, 2 * ipv4Address
		case prespecified:
			return timestampData, len(option), 2 * ipv4Address
		}
	}
	return 0, 0, ipv4Address
}

// atOffset returns the difference of words at an offset for the checksum of a header. At an
// odd offset, the bytes of each word are swapped: RFC 1071, section 2 (B).
func atOffset(difference uint64, offset int) uint64 { return difference << (offset % 2 * 8) }

package frame

import "encoding/binary"

// Extensions walks the extension headers of an IPv6 packet: RFC 8200, section 4. They stand
// between the fixed header and what the packet carries. The caller sets Protocol and Rest:
//
//	extensions := Extensions{Protocol: ip[6], Rest: ip[IPv6Length:]}
//	for extensions.Next() {
//		// extensions.Header is an extension header of extensions.Type.
//	}
//
// After that, Rest begins with the header of Protocol, unless IsCut or IsLater is set. A walk
// reads nothing but Rest. It ends, as each extension header has at least 8 bytes.
type Extensions struct {
	Rest     []byte // what is next
	Header   []byte // the extension header that Next has passed, whole
	Type     uint8  // of Header
	Protocol uint8  // of Rest

	IsFragment bool // the packet is one of several fragments
	IsLater    bool // and not the first one: Rest is from the middle of what they carry
	IsCut      bool // Rest ends within an extension header
}

// minExtension is the least length of an extension header, in bytes, and that of a fragment
// header. Each type has fields in it: RFC 8200, section 4, and RFC 4302, section 2.
const minExtension = 8

// Next passes an extension header. It returns false if there is no more, or not a whole one.
func (e *Extensions) Next() bool {
	switch e.Protocol {
	case ProtocolHopByHop, ProtocolRouting, ProtocolFragment, ProtocolAuthentication, ProtocolDestination:
		return e.pass()
	}
	return false
}

func (e *Extensions) pass() bool {
	if e.IsLater {
		return false
	}
	if len(e.Rest) < minExtension {
		e.IsCut = true
		return false
	}
	length := minExtension
	switch e.Protocol {
	case ProtocolFragment:
		const offset, more = 0xfff8, 0x0001 // RFC 8200, section 4.5
		field := binary.BigEndian.Uint16(e.Rest[2:])
		e.IsFragment = e.IsFragment || field&(offset|more) != 0
		e.IsLater = field&offset != 0
	case ProtocolAuthentication:
		length += 4 * int(e.Rest[1]) // RFC 4302, section 2.2
	default:
		length += 8 * int(e.Rest[1])
	}
	if length > len(e.Rest) {
		e.IsCut = true
		return false
	}
	e.Type, e.Header = e.Protocol, e.Rest[:length]
	e.Protocol, e.Rest = e.Header[0], e.Rest[length:]
	return true
}

// PassAuthentication goes behind the authentication headers that follow an IPv4 header: RFC
// 4302, section 3.1. protocol and rest are what follows the IPv4 header. It returns what
// follows the last of them, or isWhole false if rest ends within one.
func PassAuthentication(protocol uint8, rest []byte) (behind Extensions, isWhole bool) {
	behind = Extensions{Protocol: protocol, Rest: rest}
	for behind.Protocol == ProtocolAuthentication {
		if !behind.Next() {
			return behind, false
		}
	}
	return behind, true
}

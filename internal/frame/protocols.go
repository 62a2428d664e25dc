package frame

// IP protocol numbers, which are also the types of IPv6 extension headers: Protocol Numbers
// of IANA.
const (
	ProtocolHopByHop       = 0 // options
	ProtocolICMP           = 1
	ProtocolIPv4           = 4
	ProtocolTCP            = 6
	ProtocolUDP            = 17
	ProtocolDCCP           = 33
	ProtocolIPv6           = 41
	ProtocolRouting        = 43
	ProtocolFragment       = 44
	ProtocolGRE            = 47
	ProtocolAuthentication = 51
	ProtocolICMPv6         = 58
	ProtocolDestination    = 60 // options
	ProtocolSCTP           = 132
	ProtocolUDPLite        = 136
)

// Lengths of headers and addresses in bytes.
const (
	MACLength     = 6  // IEEE 802
	MinIPv4Length = 20 // RFC 791
	IPv6Length    = 40 // RFC 8200
	UDPLength     = 8  // RFC 768
)

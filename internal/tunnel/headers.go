package tunnel

// EtherTypes that only tunnels have: IEEE 802 Numbers of IANA.
const (
	etherTypeERSPANIII = 0x22eb // draft-foschiano-erspan-03, section 4.3
	etherTypeTEB       = 0x6558 // Transparent Ethernet Bridging
	etherTypeERSPAN    = 0x88be // types I and II: draft-foschiano-erspan-03, section 4.2
)

// UDP ports: Service Name and Transport Protocol Port Number Registry of IANA.
const (
	portGTPU     = 2152
	portVXLAN    = 4789
	portVXLANGPE = 4790
	portGENEVE   = 6081
	portMPLS     = 6635 // RFC 7510
	portVXLANOld = 8472 // of Linux, before VXLAN had a port; drivers/net/vxlan of Linux
)

// PPP protocol numbers: RFC 1661, section 2, and PPP Numbers of IANA.
const (
	pppIPv4 = 0x0021
	pppIPv6 = 0x0057
	pppMPLS = 0x0281
)

// Lengths of headers, in bytes.
const (
	mplsLength     = 4 // of a label stack entry: RFC 3032, section 2.1
	controlLength  = 4 // control word of a pseudowire: RFC 4385, section 3
	pppoeLength    = 6 // RFC 2516, section 4
	greLength      = 4 // without the optional fields: RFC 2784, section 2.1
	greFieldLength = 4 // of a checksum, key or sequence number: RFC 2890, section 2
	erspanIILength = 8 // draft-foschiano-erspan-03, section 4.2
	// Of ERSPAN type III, without and with the optional subheader: section 4.3 of the
	// draft.
	erspanIIILength     = 12
	erspanSubheader     = 8
	vxlanLength         = 8  // RFC 7348, section 5
	geneveLength        = 8  // without options: RFC 8926, section 3.4
	gtpLength           = 8  // 3GPP TS 29.281, section 5.1
	gtpOptionalLength   = 4  // sequence number, N-PDU number, next extension header
	gtpExtensionUnit    = 4  // section 5.2.1
	ipv4HeaderUnit      = 4  // RFC 791
	geneveOptionUnit    = 4  // RFC 8926, section 3.4
	cookedLength        = 16 // LINKTYPE_LINUX_SLL
	cookedV2Length      = 20 // LINKTYPE_LINUX_SLL2
	addressFamilyLength = 4  // LINKTYPE_NULL and LINKTYPE_LOOP
)

// Bits of the flags and fragment offset of an IPv4 header: RFC 791.
const (
	moreFragments  = 0x2000
	fragmentOffset = 0x1fff
)

// Flags of a GRE header: RFC 1701 and RFC 2890.
const (
	greChecksum = 0x8000
	greRouting  = 0x4000
	greKey      = 0x2000
	greSequence = 0x1000
	greVersion  = 0x0007
)

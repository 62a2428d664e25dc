package stream

import "strconv"

// LinkType is a link-layer header type as registered at
// https://www.tcpdump.org/linktypes.html. It is the number in the file. It has 16
// bits, as in pcapng; gopacket's layers.LinkType has only 8.
type LinkType uint16

// The link types that the tools handle specially.
const (
	LinkTypeNull              LinkType = 0
	LinkTypeEthernet          LinkType = 1
	LinkTypePPP               LinkType = 9
	LinkTypeRaw               LinkType = 101
	LinkTypeIEEE80211         LinkType = 105
	LinkTypeLoop              LinkType = 108
	LinkTypeLinuxSLL          LinkType = 113
	LinkTypePrismHeader       LinkType = 119
	LinkTypeIEEE80211Radio    LinkType = 127
	LinkTypeIEEE80211RadioAVS LinkType = 163
	LinkTypeUSBLinux          LinkType = 189
	LinkTypePPI               LinkType = 192
	LinkTypeUSBMapped         LinkType = 220
	LinkTypeIPv4              LinkType = 228
	LinkTypeIPv6              LinkType = 229
	LinkTypeDBus              LinkType = 231
	LinkTypeUSBPcap           LinkType = 249
	LinkTypeLinuxSLL2         LinkType = 276
	LinkTypeEBHSCR            LinkType = 279
)

// linkTypeOf returns the link type of a number in a file. Some tools wrote DLT_RAW, which is
// 14 on OpenBSD and 12 elsewhere, instead of LINKTYPE_RAW: pcap-linktype(7).
func linkTypeOf(number uint16) LinkType {
	if number == 12 || number == 14 {
		return LinkTypeRaw
	}
	return LinkType(number)
}

var linkTypeNames = map[LinkType]string{
	LinkTypeNull: "NULL", LinkTypeEthernet: "EN10MB", 6: "IEEE802", 7: "ARCNET", 8: "SLIP",
	LinkTypePPP: "PPP", 10: "FDDI", 50: "PPP_SERIAL", 51: "PPP_ETHER", 100: "ATM_RFC1483",
	LinkTypeRaw: "RAW", 104: "C_HDLC", LinkTypeIEEE80211: "IEEE802_11", 107: "FRELAY",
	LinkTypeLoop: "LOOP", LinkTypeLinuxSLL: "LINUX_SLL", 114: "LTALK", 117: "PFLOG",
	LinkTypePrismHeader: "PRISM_HEADER", 122: "IP_OVER_FC", 123: "SUNATM", LinkTypeIEEE80211Radio: "IEEE802_11_RADIO",
	129: "ARCNET_LINUX", 138: "APPLE_IP_OVER_IEEE1394", 139: "MTP2_WITH_PHDR", 140: "MTP2",
	141: "MTP3", 142: "SCCP", 143: "DOCSIS", 144: "LINUX_IRDA", LinkTypeIEEE80211RadioAVS: "IEEE802_11_RADIO_AVS",
	165: "BACNET_MS_TP", 166: "PPP_PPPD", 187: "BLUETOOTH_HCI_H4", LinkTypeUSBLinux: "USB_LINUX",
	LinkTypePPI: "PPI", 195: "IEEE802_15_4", 201: "BLUETOOTH_HCI_H4_WITH_PHDR", 204: "PPP_WITH_DIR",
	LinkTypeUSBMapped: "USB_LINUX_MMAPPED", 224: "FC_2", LinkTypeIPv4: "IPV4", LinkTypeIPv6: "IPV6",
	230: "IEEE802_15_4_NOFCS", LinkTypeDBus: "DBUS", 239: "NFLOG", 240: "NETANALYZER",
	242: "IPOIB", 243: "MPEG_2_TS", LinkTypeUSBPcap: "USBPCAP", 251: "BLUETOOTH_LE_LL",
	253: "NETLINK", 254: "BLUETOOTH_LINUX_MONITOR", 256: "BLUETOOTH_LE_LL_WITH_PHDR",
	258: "PKTAP", LinkTypeLinuxSLL2: "LINUX_SLL2", LinkTypeEBHSCR: "EBHSCR",
	281: "DSA_TAG_BRCM", 282: "DSA_TAG_BRCM_PREPEND", 284: "DSA_TAG_DSA", 285: "DSA_TAG_EDSA",
}

// String returns the name that tcpdump -L prints, or the number if the link type
// has no name here.
func (t LinkType) String() string {
	if name, ok := linkTypeNames[t]; ok {
		return name
	}
	return strconv.Itoa(int(t))
}

// MaxCaptureLength returns the largest captured length of this link type in
// bytes. A Reader treats a larger one as damage. The limits are those of libpcap
// (max_snaplen_for_dlt); libpcap 1.10 has smaller ones for USB.
func (t LinkType) MaxCaptureLength() uint32 {
	switch t {
	case LinkTypeDBus, LinkTypeUSBLinux, LinkTypeUSBMapped, LinkTypeUSBPcap:
		return 128 << 20
	case LinkTypeEBHSCR:
		return 8 << 20
	}
	return MaxCaptureLength
}

package record

// Capture is the record of pcap-map for one capture.
type Capture struct {
	Path    string `json:"path"`
	PathRaw []byte `json:"path_b64,omitempty"`
	// Archive is the tarball that Path is a member of.
	Archive    string `json:"archive,omitempty"`
	ArchiveRaw []byte `json:"archive_b64,omitempty"`

	// Offset is where the member's data begins in the uncompressed tarball.
	Offset      *int64   `json:"offset,omitempty"`
	Format      string   `json:"format"`
	Compression string   `json:"compression"`
	LinkType    *uint16  `json:"link_type"`
	LinkName    string   `json:"link_name,omitempty"`
	LinkTypes   []uint16 `json:"link_types,omitempty"` // all of them, if there are several
	Snaplen     uint32   `json:"snaplen"`
	Sections    int      `json:"sections"`
	Size        int64    `json:"size"` // as stored
	Packets     int64    `json:"packets"`
	Bytes       int64    `json:"bytes"`      // captured
	WireBytes   int64    `json:"wire_bytes"` // on the wire
	MaxPacket   uint32   `json:"max_packet"` // captured
	First       *Time    `json:"first"`      // of the first and last packet in file order
	Last        *Time    `json:"last"`
	Earliest    *Time    `json:"earliest"` // the range of all timestamps
	Latest      *Time    `json:"latest"`
	Duration    float64  `json:"duration"` // latest - earliest, seconds
	PPS         float64  `json:"pps"`
	BPS         float64  `json:"bps"` // bits a second, of wire_bytes
	OutOfOrder  int64    `json:"out_of_order"`
	MaxDisorder float64  `json:"max_disorder"`       // largest disorder in seconds
	Truncated   int64    `json:"truncated"`          // packets cut by a snaplen
	Overlong    int64    `json:"overlong,omitempty"` // packets longer in the capture than on the wire
	Untimed     int64    `json:"untimed,omitempty"`
	// UnknownBlocks are the pcapng blocks of unregistered types, which were skipped.
	UnknownBlocks []UnknownBlocks `json:"unknown_blocks,omitempty"`
	Damage        []Damage        `json:"damage,omitempty"`
	// DamageUnlisted counts the damaged places that Damage does not list.
	DamageUnlisted int64 `json:"damage_unlisted,omitempty"`
	// LostBytes is the number of bytes lost in all damaged places.
	LostBytes int64 `json:"lost_bytes,omitempty"`
}

// ShiftedCapture is a Capture to which a user may have added a shift.
type ShiftedCapture struct {
	Capture
	Shift Shift `json:"shift"`
}

// Moved returns the capture with its times moved by the shift. ok is false if they are not
// in the range of Time.
func (s ShiftedCapture) Moved() (moved Capture, ok bool) {
	moved, ok = s.Capture, true
	for _, moment := range []**Time{&moved.First, &moved.Last, &moved.Earliest, &moved.Latest} {
		if *moment == nil {
			continue
		}
		later, isTime := (**moment).Add(s.Shift)
		*moment, ok = &later, ok && isTime
	}
	return moved, ok
}

// Damage is a damaged place in a capture. Offsets count from its start, after
// decompression.
type Damage struct {
	Offset int64  `json:"offset"`
	Lost   int64  `json:"lost"`
	Record int64  `json:"record"`
	Reason string `json:"reason"`
}

// UnknownBlocks counts the pcapng blocks of one unregistered type.
type UnknownBlocks struct {
	Type   uint32 `json:"type"`
	Blocks int64  `json:"blocks"`
	Bytes  int64  `json:"bytes"`
}

// Member is the record of pcap-tarls for one member of a tarball.
type Member struct {
	Archive    string `json:"archive"`
	ArchiveRaw []byte `json:"archive_b64,omitempty"`
	Name       string `json:"name"`
	NameRaw    []byte `json:"name_b64,omitempty"`
	Size       int64  `json:"size"`
	ModTime    Time   `json:"mtime"`
	Type       string `json:"type"`   // file, directory, symlink, hardlink, ...
	Offset     int64  `json:"offset"` // of the data in the uncompressed tarball
	// The following fields are set if the member is a capture.
	Format      string  `json:"format,omitempty"`
	Compression string  `json:"compression,omitempty"`
	LinkType    *uint16 `json:"link_type,omitempty"`
	LinkName    string  `json:"link_name,omitempty"`
	First       *Time   `json:"first,omitempty"`
}

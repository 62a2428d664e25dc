package record

// Comparison is what pcap-map --against says of a capture and the reference that it was to
// be like. The packets of the reference are Matched, Altered and Missing; those of the
// capture are Matched, Altered, Duplicated and Extra.
type Comparison struct {
	Reference Compared `json:"reference"`
	Capture   Compared `json:"capture"`

	Matched    int64 `json:"matched"`
	Altered    int64 `json:"altered"`
	Missing    int64 `json:"missing"`
	Extra      int64 `json:"extra"`
	Duplicated int64 `json:"duplicated"`
	// AlteredFields counts the altered packets by what differs. A packet may have several.
	AlteredFields AlteredFields `json:"altered_fields"`
	// Framing counts the matched and altered packets by differences that do not count.
	Framing Framing `json:"framing"`
	// Displaced is how many of Matched were found so far from their place that their
	// order and times were not compared.
	Displaced int64 `json:"displaced"`

	Reordered        int64 `json:"reordered"`         // RFC 4737, section 3
	ReorderingExtent int64 `json:"reordering_extent"` // the largest, in packets: RFC 4737, section 4.2.2

	Speed          float64      `json:"speed"`
	SpeedEstimated bool         `json:"speed_estimated"`
	GapError       *TimeError   `json:"gap_error"`      // of gaps between two packets that follow each other in the reference
	ScheduleError  *TimeError   `json:"schedule_error"` // against the earliest packet
	DriftPPM       *float64     `json:"drift_ppm"`      // by regression
	DriftEnd       *float64     `json:"drift_end"`      // seconds
	DriftEndPPM    *float64     `json:"drift_end_ppm"`
	Bursts         []BurstRatio `json:"bursts"`

	Spilled int64 `json:"spilled_bytes"`
}

// Compared is one side of a comparison.
type Compared struct {
	Path       string `json:"path"`
	PathRaw    []byte `json:"path_b64,omitempty"`
	LinkName   string `json:"link_name,omitempty"` // of the first packet
	Packets    int64  `json:"packets"`
	Bytes      int64  `json:"bytes"`
	WireBytes  int64  `json:"wire_bytes"`
	First      *Time  `json:"first"`
	Last       *Time  `json:"last"`
	OutOfOrder int64  `json:"out_of_order"` // packets with a time before that of a packet before them
	Untimed    int64  `json:"untimed,omitempty"`
	Truncated  int64  `json:"truncated"`
	Damaged    int64  `json:"damaged"` // places
	LostBytes  int64  `json:"lost_bytes"`
}

// AlteredFields counts packets by the parts in which they differ.
type AlteredFields struct {
	MAC      int64 `json:"mac"`
	VLAN     int64 `json:"vlan"`
	Address  int64 `json:"address"`
	Port     int64 `json:"port"`
	TTL      int64 `json:"ttl"`
	TOS      int64 `json:"tos"`
	Checksum int64 `json:"checksum"`
	Payload  int64 `json:"payload"`
}

// Framing counts packets that differ in what a NIC or a capture changes.
type Framing struct {
	Padding int64 `json:"padding"`
	FCS     int64 `json:"fcs"`
	VLANTag int64 `json:"vlan_tag"`
	Snaplen int64 `json:"snaplen"`
}

// TimeError is how large errors are, whatever their sign, in seconds, and which share of
// them is at most so large.
type TimeError struct {
	P50         float64 `json:"p50"`
	P90         float64 `json:"p90"`
	P99         float64 `json:"p99"`
	P999        float64 `json:"p999"`
	Max         float64 `json:"max"`
	Within1us   float64 `json:"within_1us"`
	Within10us  float64 `json:"within_10us"`
	Within100us float64 `json:"within_100us"`
	Within1ms   float64 `json:"within_1ms"`
}

// BurstRatio is the variance of the number of packets in a time, in the capture, divided by
// that in the reference.
type BurstRatio struct {
	Scale float64  `json:"scale"` // seconds
	Ratio *float64 `json:"ratio"` // null if the reference has no variance, and the capture has
}

// Unmatched is the report event for a packet that only one side has.
type Unmatched struct {
	Event       string `json:"event"` // "missing" or "extra"
	Tool        string `json:"tool"`
	Path        string `json:"path"` // of the capture that has it
	PathRaw     []byte `json:"path_b64,omitempty"`
	Packet      int64  `json:"packet"` // its number there, counted from 1
	Time        *Time  `json:"time"`
	Length      uint32 `json:"length"` // on the wire
	Protocol    string `json:"protocol"`
	Source      string `json:"source,omitempty"`
	Destination string `json:"destination,omitempty"`
}

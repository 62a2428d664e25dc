package record

// The last event of every report is a summary. The packets read are the packets written
// plus those counted as left out.

// TarlsSummary ends the report of pcap-tarls.
type TarlsSummary struct {
	Summary
	Archives int   `json:"archives"`
	Failed   int   `json:"failed"` // archives that could not be read at all
	Members  int64 `json:"members"`
	Listed   int64 `json:"listed"`
	Captures int64 `json:"captures"`
	Bytes    int64 `json:"bytes"` // of the data of the listed members
}

// TarcatSummary ends the report of pcap-tarcat.
type TarcatSummary struct {
	Summary
	Members int64 `json:"members"` // members that were read
	Taken   int64 `json:"taken"`
	LeftOut int64 `json:"left_out"`  // requested, but not captures or without data
	Missing int   `json:"not_found"` // named, but not in the tarball
	Bytes   int64 `json:"bytes"`     // before compression by -z
}

// MapSummary ends the report of pcap-map.
type MapSummary struct {
	Summary
	Captures  int64 `json:"captures"`
	Packets   int64 `json:"packets"`
	Bytes     int64 `json:"bytes"`
	WireBytes int64 `json:"wire_bytes"`
	Damaged   int64 `json:"damaged"` // of the captures
	LostBytes int64 `json:"lost_bytes"`
	Failed    int64 `json:"failed"`  // inputs and members without a record
	Skipped   int   `json:"skipped"` // files and members that were left out, such as those that are not captures
	// Unlisted is how many missing and extra packets have no event, with --against.
	Unlisted int64 `json:"unlisted,omitempty"`
}

// MergeSummary ends the report of pcap-merge.
type MergeSummary struct {
	Summary
	Inputs      int   `json:"inputs"` // sections and files
	PacketsIn   int64 `json:"packets_in"`
	OutOfRange  int64 `json:"out_of_range"` // --from and --to
	OtherShards int64 `json:"other_shards"`
	Filtered    int64 `json:"filtered"`
	Unwritable  int64 `json:"unwritable"` // with times that the output cannot hold
	Duplicates  int64 `json:"duplicates"`
	Interrupted int64 `json:"interrupted"` // read, but the run was ended
	PacketsOut  int64 `json:"packets_out"`
	Bytes       int64 `json:"bytes"`         // captured, of packets_out
	Late        int64 `json:"late"`          // written after a packet with a later time
	Cut         int64 `json:"cut"`           // by --snaplen
	Spilled     int64 `json:"spilled_bytes"` // written to --tmp
	Unread      int64 `json:"unread_bytes"`  // that --follow did not read before they were overwritten or deleted

	Decap *Decapsulation `json:"decap,omitempty"`
	// Rewritten is only there with a flag that changes packets.
	Rewritten *Rewritten `json:"rewritten,omitempty"`
}

// PaceSummary ends the report of pcap-pace.
type PaceSummary struct {
	Summary
	PacketsIn   int64   `json:"packets_in"`
	OutOfRange  int64   `json:"out_of_range"` // --from and --to
	Interrupted int64   `json:"interrupted"`  // read, but the run was ended
	PacketsOut  int64   `json:"packets_out"`
	Bytes       int64   `json:"bytes"`        // captured, of packets_out
	OutOfOrder  int64   `json:"out_of_order"` // that went out at once
	MaxDisorder float64 `json:"max_disorder"` // seconds
	MaxLateness float64 `json:"max_lateness"` // seconds by which a packet was written too late
	Stalls      int64   `json:"stalls"`       // how often writing was interrupted
	// Rewritten is only there with --unique-flows.
	Rewritten *Rewritten `json:"rewritten,omitempty"`
}

// InjectSummary ends the report of pcap-inject.
type InjectSummary struct {
	Summary
	PacketsIn   int64     `json:"packets_in"`
	Filtered    int64     `json:"filtered"`
	Skipped     NotSent   `json:"skipped"`
	ReadAhead   int64     `json:"read_ahead"` // read, but not sent when the run was stopped
	PacketsOut  int64     `json:"packets_out"`
	Frames      int64     `json:"frames"` // frames of packets_out
	Bytes       int64     `json:"bytes"`  // of frames
	Duration    float64   `json:"duration"`
	PPS         float64   `json:"pps"`      // of packets_out
	BPS         float64   `json:"bps"`      // of bytes, in bits
	Overlong    int64     `json:"overlong"` // longer in the capture than on the wire
	Padded      int64     `json:"padded"`
	Truncated   int64     `json:"truncated"`
	Segmented   int64     `json:"segmented"`
	OutOfOrder  int64     `json:"out_of_order"` // that were sent at once
	MaxDisorder float64   `json:"max_disorder"`
	Lateness    *Lateness `json:"lateness,omitempty"`
	Stamped     int64     `json:"stamped,omitempty"`  // frames, by the kernel
	Verified    *Lateness `json:"verified,omitempty"` // lateness by the kernel's timestamps
	Underruns   int64     `json:"underruns"`
	Stalls      int64     `json:"stalls"` // underruns because sending was blocked
	Interface   string    `json:"interface,omitempty"`
	To          string    `json:"to,omitempty"` // URL of --to
	Tx          string    `json:"tx,omitempty"`
	Retries     uint64    `json:"retries"` // because the device had no room
	// QueueDropped counts frames that the queueing discipline dropped.
	QueueDropped int64 `json:"queue_dropped"`
	// Undelivered counts datagrams of --to of which an ICMP error says that they did not
	// arrive.
	Undelivered int64          `json:"undelivered,omitempty"`
	Device      *Device        `json:"device,omitempty"`
	Decap       *Decapsulation `json:"decap,omitempty"`
	// Undecided counts frames that left on the first interface because --split could not
	// tell theirs.
	Undecided int64 `json:"undecided,omitempty"`
	// Interfaces are those of --split, in the order of -i.
	Interfaces []InterfaceSummary `json:"interfaces,omitempty"`
	// Rewritten is only there with a flag that changes packets.
	Rewritten *Rewritten `json:"rewritten,omitempty"`
}

// InterfaceSummary has the figures of one of the two interfaces of --split. Its fields mean
// the same as those of InjectSummary.
type InterfaceSummary struct {
	Interface    string  `json:"interface"`
	Tx           string  `json:"tx"`
	Frames       int64   `json:"frames"`
	Bytes        int64   `json:"bytes"`
	Skipped      NotSent `json:"skipped"`
	Padded       int64   `json:"padded"`
	Truncated    int64   `json:"truncated"`
	Segmented    int64   `json:"segmented"`
	Retries      uint64  `json:"retries"`
	QueueDropped int64   `json:"queue_dropped"`
	Device       *Device `json:"device,omitempty"`
}

// Rewritten counts the packets that --map and similar flags have changed, and those that
// they could not change as the rules say, by reason. A packet may count in several.
type Rewritten struct {
	Packets int64        `json:"packets"`
	Missed  NotRewritten `json:"missed"`
}

// NotRewritten counts packets in which something could not be changed, by reason.
type NotRewritten struct {
	Cut      int64 `json:"cut"`       // the packet ends before it
	Fragment int64 `json:"fragment"`  // a later fragment has no ports
	Header   int64 `json:"header"`    // a header contradicts itself
	LinkType int64 `json:"link_type"` // the link type does not have it, or is not known
	Length   int64 `json:"length"`    // the frame has no room for a VLAN tag
	Route    int64 `json:"route"`     // an IPv6 routing header of an unknown type has the destination
}

// NotSent counts the packets that pcap-inject did not send, by reason.
type NotSent struct {
	Oversize int64 `json:"oversize"`
	Short    int64 `json:"short"`
	LinkType int64 `json:"link_type"`
}

// Decapsulation counts what --decap has removed, in tunnels of each kind.
type Decapsulation struct {
	Packets int64         `json:"packets"` // taken out of at least one tunnel
	VLAN    int64         `json:"vlan"`    // tags
	MPLS    int64         `json:"mpls"`    // label stacks
	PPPoE   int64         `json:"pppoe"`
	GRE     int64         `json:"gre"` // without TEB and ERSPAN
	TEB     int64         `json:"teb"` // GRE with Ethernet
	ERSPAN  int64         `json:"erspan"`
	VXLAN   int64         `json:"vxlan"`
	GENEVE  int64         `json:"geneve"`
	IPIP    int64         `json:"ipip"`
	GTPU    int64         `json:"gtpu"`
	Kept    StillInTunnel `json:"kept"`
}

// StillInTunnel counts the packets that --decap could not take out of a tunnel, by reason.
type StillInTunnel struct {
	Fragment int64 `json:"fragment"`
	Cut      int64 `json:"cut"`
	Header   int64 `json:"header"`
	Payload  int64 `json:"payload"`
	Control  int64 `json:"control"`
	LinkType int64 `json:"link_type"`
}

// Lateness is how late packets left, in seconds.
type Lateness struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Device has the counters of a network device during a run, which include the frames of
// other programs.
type Device struct {
	Packets uint64 `json:"tx_packets"`
	Dropped uint64 `json:"tx_dropped"`
	Errors  uint64 `json:"tx_errors"`
}

// Underrun is the report event for a packet that could not leave when it was to: the
// buffer was empty, or sending was interrupted.
type Underrun struct {
	Event     string  `json:"event"` // "underrun"
	Tool      string  `json:"tool"`
	Time      Time    `json:"time"`
	Departure float64 `json:"departure"` // seconds after the first packet, as planned
	Missing   float64 `json:"missing"`   // seconds by which the packet was too late
	Stalled   bool    `json:"stalled"`   // sending was interrupted
}

// Progress is the report event of pcap-inject that is written twice a second.
type Progress struct {
	Event      string   `json:"event"` // "progress"
	Tool       string   `json:"tool"`
	Time       Time     `json:"time"`
	PacketsOut int64    `json:"packets_out"`
	Bytes      int64    `json:"bytes"`
	PPS        float64  `json:"pps"` // since the first packet left
	BPS        float64  `json:"bps"`
	P99        *float64 `json:"lateness_p99,omitempty"` // seconds
	Buffer     float64  `json:"buffer"`                 // how full it is, from 0 to 1
}

// Add adds the packets of other.
func (n *NotSent) Add(other NotSent) {
	n.Oversize, n.Short, n.LinkType = n.Oversize+other.Oversize, n.Short+other.Short, n.LinkType+other.LinkType
}

// Total is how many packets were not sent.
func (n NotSent) Total() int64 { return n.Oversize + n.Short + n.LinkType }

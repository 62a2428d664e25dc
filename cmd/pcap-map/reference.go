package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/rewrite"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tunnel"
	"pcap-replay/stream"
)

// reference reads the packets that were to be sent, with the changes that the replay made:
// those of --decap, --map and the like.
type reference struct {
	reader   *stream.Reader
	decap    *tunnel.Decapsulator // nil changes nothing
	rewriter *rewrite.Rewriter    // nil changes nothing
	data     []byte               // of the packets that Read has returned
}

// Read is like that of stream.Reader.
func (r *reference) Read(dst []stream.Packet) (n int, err error) {
	n, err = r.reader.Read(dst)
	r.decap.Decap(dst[:n])
	if r.rewriter == nil {
		return n, err
	}
	r.data = r.data[:0]
	_ = r.rewriter.Rewrite(dst[:n], r.keep)
	return n, err
}

// Section is like that of stream.Reader.
func (r *reference) Section() stream.Section { return r.reader.Section() }

// keep copies the data of packets. The Rewriter uses its memory again.
func (r *reference) keep(packets []stream.Packet) error {
	for i := range packets {
		start := len(r.data)
		r.data = append(r.data, packets[i].Data...) // earlier packets keep the memory that they have
		packets[i].Data = r.data[start:]
	}
	return nil
}

// referenceFlags are those of a replay that changes packets.
func referenceFlags() []cli.Flag {
	const where = "with --against: in the reference, "
	flags := slices.Concat(tool.DecapFlags(), tool.RewriteFlags())
	for _, flag := range flags {
		switch flag := flag.(type) {
		case *cli.StringFlag:
			flag.Usage = where + flag.Usage
		case *cli.StringSliceFlag:
			flag.Usage = where + flag.Usage
		case *cli.IntFlag:
			flag.Usage = where + flag.Usage
		}
	}
	return flags
}

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
}

// Read is like that of stream.Reader.
func (r *reference) Read(dst []stream.Packet) (n int, err error) {
	n, err = r.reader.Read(dst)
	r.decap.Decap(dst[:n])
	r.rewriter.Rewrite(dst[:n])
	return n, err
}

// Section is like that of stream.Reader.
func (r *reference) Section() stream.Section { return r.reader.Section() }

// referenceFlags are those of a replay that changes packets.
func referenceFlags() []cli.Flag {
	const where = "with --against: in the reference, "
	flags := slices.Concat(tool.DecapFlags(), tool.RewriteFlags())
	for _, flag := range flags {
		switch flag := flag.(type) {
		case *cli.StringFlag:
			flag.Usage = where + flag.Usage
		case *tool.ListFlag:
			flag.Usage = where + flag.Usage
		case *cli.IntFlag:
			flag.Usage = where + flag.Usage
		}
	}
	return flags
}

package tool

import (
	"fmt"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"pcap-replay/internal/record"
)

// DecapFlags are those of the tools that take packets out of tunnels.
func DecapFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "decap", Usage: "take packets out of the tunnels in `LIST`: vlan, mpls, pppoe, gre, teb, erspan, vxlan, geneve, ipip, gtpu or all"},
		&cli.IntFlag{Name: "decap-depth", Usage: "remove up to `N` nested tunnels from each packet", DefaultText: "no limit"},
	}
}

// Decap reads DecapFlags; it is nil without them. The tools that have such flags give the
// function that reads the list, as the others do not link it.
func Decap[D any](f *Flags, create func(list string, depth int) (*D, error)) (*D, error) {
	depth := f.Int64("decap-depth")
	switch {
	case f.IsSet("decap-depth") && !f.IsSet("decap"):
		return nil, UsageErrorf("--decap-depth needs --decap")
	case !f.IsSet("decap"):
		return nil, nil
	case depth < 0 || depth > math.MaxInt32 || depth == 0 && f.IsSet("decap-depth"):
		return nil, UsageErrorf("--decap-depth %d: wanted 1 or more", depth)
	}
	decapsulator, err := create(f.String("decap"), int(depth))
	if err != nil {
		return nil, UsageErrorf("--decap %w", err)
	}
	return decapsulator, nil
}

// WarnInTunnel reports the packets that --decap could not take out of a tunnel. A control message
// is none of them, because it has no packet inside.
func (m *Messages) WarnInTunnel(d *record.Decapsulation) {
	if d == nil {
		return
	}
	var reasons []string
	for _, kept := range []struct {
		count int64
		text  string
	}{
		{d.Kept.Fragment, "of a fragmented packet"},
		{d.Kept.Cut, "cut within the headers"},
		{d.Kept.Header, "with a header that is not supported"},
		{d.Kept.Payload, "with an unknown packet inside"},
		{d.Kept.LinkType, "of a link type that cannot hold the packet inside"},
	} {
		if kept.count > 0 {
			reasons = append(reasons, fmt.Sprintf("%d %s", kept.count, kept.text))
		}
	}
	if len(reasons) > 0 {
		m.Warnf("packets that stay in a tunnel: %s", strings.Join(reasons, ", "))
	}
}

package tool

import (
	"flag"
	"strings"

	"github.com/xrash/smetrics"
)

// elsewhere has hints for flags that the tool does not have: flags of the other tools, of
// GopherCap and of tcpreplay.
var elsewhere = map[string]string{
	// The tools of this project.
	"speed": "pcap-pace --speed changes the speed", "fit": "pcap-pace --fit changes the duration",
	"pps": "pcap-pace --pps sets the rate", "bps": "pcap-pace --bps sets the rate",
	"max-gap": "pcap-pace --max-gap shortens pauses", "start-at": "pcap-pace --start-at sets the start",
	"loop":   "pcap-merge --loop and pcap-pace --loop repeat the packets",
	"from":   "pcap-merge --from and pcap-pace --from leave out earlier packets",
	"to":     "pcap-merge --to and pcap-pace --to leave out later packets",
	"filter": "pcap-merge --filter and pcap-inject --filter select packets", "shard": "pcap-merge --shard divides the flows",
	"decap": "pcap-merge --decap and pcap-inject --decap take packets out of tunnels",
	"dedup": "pcap-merge --dedup leaves out duplicates", "follow": "pcap-merge --follow reads captures that are being written",
	"interface": "pcap-inject --interface sends packets", "i": "pcap-inject -i sends packets",
	"split":    "pcap-inject --split sends on two interfaces",
	"realtime": "pcap-inject --realtime sets the priority", "asap": "pcap-inject --asap sends as fast as possible",
	"chart": "pcap-map --chart draws captures", "svg": "pcap-map --svg draws captures",

	// GopherCap.
	"dir-src":             "name the folder as an operand: pcap-map FOLDER, or pcap-merge FOLDER",
	"file-suffix":         "pcap-map --suffix selects files by the end of their names",
	"file-regexp":         "pcap-merge --match selects files by a regular expression",
	"file-workers":        "pcap-map uses all cores by default",
	"dump-json":           "pcap-map writes records to stdout, and pcap-merge --select reads them",
	"out-interface":       "pcap-inject --interface sends packets",
	"out-bpf":             "pcap-inject --filter selects packets",
	"loop-infinite":       "pcap-merge --loop 0 repeats the packets for ever",
	"loop-count":          "pcap-merge --loop repeats the packets",
	"time-modifier":       "pcap-pace --speed changes the speed",
	"time-scale-enabled":  "pcap-pace --fit changes the duration",
	"time-scale-duration": "pcap-pace --fit changes the duration",
	"time-from":           "pcap-merge --from leaves out earlier packets",
	"time-to":             "pcap-merge --to leaves out later packets",
	"in-tarball":          "name the tarball as the first operand of pcap-tarcat",
	"out-dir":             "pcap-tarcat -C extracts into a folder",
	"out-gzip":            "pcap-tarcat writes members as they are, and pcap-merge -z gzip compresses",
	"dryrun":              "pcap-tarls lists the members of a tarball",

	// tcpreplay.
	"intf1":        "pcap-inject --interface sends packets",
	"intf2":        "pcap-inject -i A -i B --split sends on two interfaces",
	"I":            "pcap-inject -i A -i B --split sends on two interfaces",
	"cachefile":    "pcap-inject --split decides which packets leave on which interface",
	"c":            "pcap-inject --split decides which packets leave on which interface",
	"multiplier":   "pcap-pace --speed changes the speed",
	"x":            "pcap-pace --speed changes the speed",
	"mbps":         "pcap-pace --bps sets the rate, such as --bps 100M",
	"M":            "pcap-pace --bps sets the rate, such as --bps 100M",
	"p":            "pcap-pace --pps sets the rate",
	"topspeed":     "pcap-inject --asap sends as fast as possible",
	"t":            "pcap-inject --asap sends as fast as possible",
	"l":            "pcap-pace --loop repeats the packets",
	"L":            "pcap-inject --limit ends after a number of packets",
	"preload-pcap": "pcap-inject --delay sets how far it reads ahead",
	"K":            "pcap-inject --delay sets how far it reads ahead",
	"maxsleep":     "pcap-pace --max-gap shortens pauses",
	"pktlen":       "pcap-inject --short pad is the default",
	"listnics":     "ip link lists the interfaces",
	"stats":        "pcap-inject --progress shows counters, and --report writes them",
}

// hintFor returns the hint for an unknown flag.
func (t *Tool) hintFor(name string, set *flag.FlagSet) string {
	name, _, _ = strings.Cut(name, "=")
	if hint, ok := elsewhere[name]; ok {
		return hint
	}
	if nearest := nearestFlag(name, set); nearest != "" {
		return "did you mean " + dashed(nearest) + "?"
	}
	return t.Name + " --help lists the flags"
}

// nearestFlag returns the long flag that is most similar to a name: it begins with the
// name, or differs in one letter, or in two swapped letters of a longer name.
func nearestFlag(name string, set *flag.FlagSet) (nearest string) {
	if len(name) < 2 {
		return ""
	}
	best := 2 + 1
	if len(name) < 5 {
		best = 1 + 1
	}
	set.VisitAll(func(known *flag.Flag) {
		if len(known.Name) < 2 {
			return
		}
		distance := smetrics.WagnerFischer(name, known.Name, 1, 1, 1)
		if strings.HasPrefix(known.Name, name) {
			distance = 1
		}
		if distance < best {
			best, nearest = distance, known.Name
		}
	})
	return nearest
}

package tool

import (
	"flag"
	"strings"

	"github.com/xrash/smetrics"
)

// elsewhere has hints for flags that the tool does not have: flags of the other tools, of
// GopherCap, of tcpreplay, and of tcprewrite and tcpprep. Each line is a flag and its hint. It is
// one text, because a map made each tool 16 KB larger.
const elsewhere = `
# The tools of this project.
speed: pcap-pace --speed changes the speed
fit: pcap-pace --fit changes the duration
span: pcap-pace --fit --span changes the duration of a stream
pps: pcap-pace --pps sets the rate
bps: pcap-pace --bps sets the rate
max-gap: pcap-pace --max-gap shortens pauses
start-at: pcap-pace --start-at sets the start
lead: pcap-pace --lead writes packets earlier
exact: pcap-pace --exact waits to the microsecond
keep-timestamps: pcap-pace --keep-timestamps does not change timestamps
loop: pcap-merge --loop and pcap-pace --loop repeat the packets
unique-flows: pcap-merge --unique-flows and pcap-pace --unique-flows change the addresses in each round
from: pcap-merge --from and pcap-pace --from leave out earlier packets
to: pcap-merge --to and pcap-pace --to leave out later packets
pcapng: pcap-merge --pcapng and pcap-pace --pcapng write pcapng
filter: pcap-merge --filter and pcap-inject --filter select packets
filter-file: pcap-merge --filter-file and pcap-inject --filter-file select packets
shard: pcap-merge --shard divides the flows
align: pcap-merge --align moves captures to the same start
reorder: pcap-merge --reorder sorts packets
snaplen: pcap-merge --snaplen cuts packets
decap: pcap-merge --decap and pcap-inject --decap take packets out of tunnels
decap-depth: pcap-merge --decap-depth and pcap-inject --decap-depth limit how many tunnels are removed
map: pcap-merge --map and pcap-inject --map change addresses
mac: pcap-merge --mac and pcap-inject --mac change MAC addresses
src-mac: pcap-merge --src-mac and pcap-inject --src-mac set the source MAC address
dst-mac: pcap-merge --dst-mac and pcap-inject --dst-mac set the destination MAC address
vlan: pcap-merge --vlan and pcap-inject --vlan change VLAN tags
port: pcap-merge --port and pcap-inject --port change ports
dedup: pcap-merge --dedup leaves out duplicates
dedup-window: pcap-merge --dedup --dedup-window leaves out duplicates
follow: pcap-merge --follow reads captures that are being written
idle: pcap-merge --follow --idle ends when no file grows
memory: pcap-merge --memory limits memory
tmp: pcap-merge --tmp is the folder for temporary files
ignore-zeros: pcap-merge -i and pcap-tarls -i read past the end-of-archive markers of a tarball
match: pcap-map --match and pcap-merge --match select files, and pcap-tarcat TARBALL REGEXP members
suffix: pcap-map --suffix and pcap-merge --suffix select files by the end of their names
select: pcap-merge --select reads records
output: pcap-inject -w names the output
compress: pcap-merge -z and pcap-pace -z compress the output
interface: pcap-inject --interface sends packets
i: pcap-inject -i sends packets
write: pcap-inject -w writes what would be sent; here, -o names the output
w: pcap-inject -w writes what would be sent; here, -o names the output
split: pcap-inject --split sends on two interfaces
tx: pcap-inject --tx selects the kind of socket
workers: pcap-inject --workers sends with several threads
jobs: pcap-map --jobs reads several files at the same time
delay: pcap-inject --delay sets how far it reads ahead
at: pcap-inject --at sends at the timestamps
realtime: pcap-inject --realtime sets the priority
spin: pcap-inject --spin takes a core
asap: pcap-inject --asap sends as fast as possible
oversize: pcap-inject --oversize decides about frames that are too long
short: pcap-inject --short decides about cut packets
link: pcap-inject --link adds Ethernet headers
limit: pcap-inject --limit ends after a number of packets
duration: pcap-inject --duration ends after a time
fail-late: pcap-inject --fail-late sets a limit for the lateness
verify: pcap-inject --verify measures lateness, and pcap-tarls --verify checks an index
chart: pcap-map --chart draws captures
svg: pcap-map --svg draws captures
from-records: pcap-map --from-records draws the captures of records
against: pcap-map --against compares two captures
json: pcap-map and pcap-tarls print JSON records
index: pcap-tarls --index makes the index of a tarball
names: pcap-tarls --names prints names
null: pcap-tarls --null prints names
list: pcap-tarcat --list prints the records of members
name: pcap-tarcat --name names a member
raw: pcap-tarcat --raw does not decompress members
directory: pcap-tarcat -C extracts into a folder
max-bytes: pcap-tarcat --max-bytes limits the output

# tcpdump, tshark, editcap and mergecap.
r: name the capture as an operand
V: --version prints the version
D: pcap-inject without -i names the interfaces, and pcap-merge --map changes addresses
Y: tshark -Y selects packets between two tools: see OTHER PROGRAMS in pcap-replay(7)
A: pcap-merge --from and pcap-pace --from leave out earlier packets
B: pcap-merge --to and pcap-pace --to leave out later packets
F: pcap-merge --pcapng writes pcapng, and pcap-inject --short decides about cut packets
s: pcap-merge --snaplen cuts packets

# GopherCap.
dir-src: name the folder as an operand: pcap-map FOLDER, or pcap-merge FOLDER
file-suffix: pcap-map --suffix selects files by the end of their names
file-regexp: pcap-merge --match selects files by a regular expression
file-workers: pcap-map --jobs reads several files at the same time
dump-json: pcap-map writes records to stdout, and pcap-merge --select reads them
out-interface: pcap-inject --interface sends packets
out-bpf: pcap-inject --filter selects packets
loop-infinite: pcap-merge --loop 0 repeats the packets for ever
loop-count: pcap-merge --loop repeats the packets
time-modifier: pcap-pace --speed changes the speed
time-scale-enabled: pcap-pace --fit changes the duration
time-scale-duration: pcap-pace --fit changes the duration
time-from: pcap-merge --from leaves out earlier packets
time-to: pcap-merge --to leaves out later packets
wait-disable: pcap-merge --align plays captures at the same time
in-tarball: name the tarball as the first operand of pcap-tarcat
out-dir: pcap-tarcat -C extracts into a folder
out-gzip: pcap-tarcat -C FOLDER -z gzip compresses what it extracts
dryrun: pcap-tarcat --list prints what would be extracted

# tcpreplay.
intf1: pcap-inject --interface sends packets
intf2: pcap-inject -i A -i B --split sends on two interfaces
I: pcap-inject -i A -i B --split sends on two interfaces
cachefile: pcap-inject --split decides which packets leave on which interface
c: pcap-inject --limit ends after a number of packets, and --split needs no cache file
dualfile: pcap-merge merges two files, and pcap-inject --split sends them on two interfaces
multiplier: pcap-pace --speed changes the speed
x: pcap-pace --speed changes the speed
mbps: pcap-pace --bps sets the rate, such as --bps 100M
M: pcap-pace --bps sets the rate, such as --bps 100M
p: pcap-pace --pps sets the rate
topspeed: pcap-inject --asap sends as fast as possible
t: pcap-inject --asap sends as fast as possible
l: pcap-pace --loop repeats the packets
loopdelay-ms: rounds of --loop follow one another by the mean gap
unique-ip: pcap-merge --loop --unique-flows changes the addresses in each round
unique-ip-loops: pcap-merge --loop --unique-flows changes the addresses in each round
L: pcap-inject --limit ends after a number of packets
preload-pcap: pcap-inject --delay sets how far it reads ahead
K: pcap-inject --delay sets how far it reads ahead
timer: pcap-inject --realtime and --spin make the times exact
maxsleep: pcap-pace --max-gap shortens pauses
pktlen: pcap-inject --short pad is the default
listnics: pcap-inject without -i names the interfaces
stats: pcap-inject --progress shows counters, and --report writes them
oneatatime: pcap-inject does not wait for a key; pcap-pace --pps 1 sends one packet a second
pps-multi: pcap-inject sends packets one by one; pcap-pace --pps sets the rate

# tcprewrite and tcpprep.
infile: pcap-merge reads its operands, or stdin
outfile: pcap-merge -o names the output
pnat: pcap-merge --map OLD=NEW changes addresses
srcipmap: pcap-merge --map OLD=NEW changes source and destination addresses
dstipmap: pcap-merge --map OLD=NEW changes source and destination addresses
endpoints: pcap-merge --map OLD=NEW changes addresses, once for each host
portmap: pcap-merge --port OLD=NEW changes ports
enet-dmac: pcap-merge --dst-mac sets the destination MAC address
enet-smac: pcap-merge --src-mac sets the source MAC address
enet-subsmac: pcap-merge --mac OLD=NEW changes MAC addresses
enet-vlan: pcap-merge --vlan push:ID adds a VLAN tag, and --vlan pop removes one
enet-vlan-tag: pcap-merge --vlan push:ID adds a VLAN tag, and --vlan pop removes one
fixcsum: checksums are updated with every change: right ones stay right, and wrong ones stay wrong
mtu: pcap-inject --oversize decides about frames that are longer than the MTU of the interface
mtu-trunc: pcap-inject --oversize truncate cuts frames, and pcap-merge --snaplen cuts packets
fixlen: pcap-inject --short decides about cut packets
efcs: a frame check sequence that the capture declares is always removed
dlt: pcap-inject --link ethernet adds Ethernet headers
skipbroadcast: pcap-merge --map changes multicast and broadcast addresses, too
skipl2broadcast: pcap-merge --mac changes only the address that it names
seed: pcap-merge --loop --unique-flows changes the addresses in each round
ttl: tcprewrite changes this between two tools: see OTHER PROGRAMS in pcap-replay(7)
tos: tcprewrite changes this between two tools: see OTHER PROGRAMS in pcap-replay(7)
tcp-sequence: tcprewrite changes this between two tools: see OTHER PROGRAMS in pcap-replay(7)
fuzz-seed: tcprewrite changes this between two tools: see OTHER PROGRAMS in pcap-replay(7)
fragroute: tcprewrite changes this between two tools: see OTHER PROGRAMS in pcap-replay(7)
auto: pcap-inject --split clients tells clients and servers apart
cidr: pcap-inject --split 'src net NETWORK' tells both sides apart
regex: pcap-inject --split 'src net NETWORK' tells both sides apart
reverse: exchange the two pcap-inject -i
include: pcap-inject --filter EXPRESSION selects packets
exclude: pcap-inject --filter 'not (EXPRESSION)' leaves out packets
nonip: pcap-inject --split 'not (ip or ip6)' sends what is not IP on the first interface
pcap: pcap-inject reads its operands, or stdin
`

// eachElsewhere yields the flags of elsewhere with their hints.
func eachElsewhere(yield func(flag, hint string) bool) {
	for line := range strings.Lines(elsewhere) {
		if flag, hint, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !yield(flag, hint) {
			return
		}
	}
}

// elsewhereHint returns the hint of elsewhere for a flag, or "".
func elsewhereHint(name string) string {
	for flag, hint := range eachElsewhere {
		if flag == name {
			return hint
		}
	}
	return ""
}

// hintFor returns the hint for an unknown flag.
func (t *Tool) hintFor(name string, set *flag.FlagSet) string {
	name, _, _ = strings.Cut(name, "=")
	var known []string
	hints := map[string]string{}
	for flag, hint := range eachElsewhere {
		known, hints[flag] = append(known, flag), hint
	}
	if t.readsTarballs() && strings.Trim(name, tarLetters) == "" {
		return "pcap-tarls TARBALL lists a tarball, and pcap-tarcat -C FOLDER TARBALL extracts it"
	}
	if hint := hints[name]; hint != "" {
		return hint
	}
	if nearest := nearestFlag(name, flagNames(set)); nearest != "" {
		return "did you mean " + dashed(nearest) + "?"
	}
	if len(name) >= minElsewhere {
		if nearest := nearestFlag(name, known); nearest != "" {
			return hints[nearest]
		}
	}
	return t.Name + " --help lists the flags"
}

// tarLetters are the flags of tar(1) and unzip(1) that list and extract, such as -tzf, -xJvf and -l.
const tarLetters = "txzjJavfOl"

// readsTarballs reports whether the tool is used like tar(1).
func (t *Tool) readsTarballs() bool { return t.Name == "pcap-tarls" || t.Name == "pcap-tarcat" }

// minElsewhere is the length of a name from which it is compared with those of elsewhere.
// Shorter ones are similar to too many.
const minElsewhere = 4

func flagNames(set *flag.FlagSet) (names []string) {
	set.VisitAll(func(known *flag.Flag) { names = append(names, known.Name) })
	return names
}

// nearestFlag returns the long flag that is most similar to a name: it begins with the
// name, or differs in one letter, or in two swapped letters of a longer name.
func nearestFlag(name string, known []string) (nearest string) {
	if len(name) < 2 {
		return ""
	}
	best := 2 + 1
	if len(name) < 5 {
		best = 1 + 1
	}
	for _, flag := range known {
		if len(flag) < 2 {
			continue
		}
		distance := smetrics.WagnerFischer(name, flag, 1, 1, 1)
		if strings.HasPrefix(flag, name) {
			distance = 1
		}
		if distance < best {
			best, nearest = distance, flag
		}
	}
	return nearest
}

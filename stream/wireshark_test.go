package stream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// What we read of the corpus is what Wireshark reads, byte for byte: editcap writes
// every capture anew as a plain pcapng, which takes few lines to read.
func TestCorpusReadsAsWiresharkReadsIt(t *testing.T) {
	if _, err := exec.LookPath("editcap"); err != nil {
		t.Skip("no editcap")
	}
	corpus, rows := lab.CorpusIndex(t)
	for _, row := range rows {
		name := row["path"]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(corpus, name)
			var said bytes.Buffer
			command := exec.Command("editcap", "-F", "pcapng", path, "-")
			command.Stderr = &said
			copied, _ := command.Output() // what it says of damage does not always make it fail
			wireshark := readPlainPcapNG(copied)
			ours := readFrames(t, path)
			reason := ""
			for suffix, why := range unlikeWireshark {
				if strings.HasSuffix(name, suffix) {
					reason = why
				}
			}
			difference := compareFrames(ours, wireshark, said.Len() > 0)
			if (difference != "") != (reason != "") {
				t.Errorf("%s (exception: %q); editcap: %s", difference, reason, &said)
			}
		})
	}
}

// unlikeWireshark are the captures that are read in another way, and why.
var unlikeWireshark = map[string]string{
	"PcapExamples/solaris.snoop":           "snoop is none of our formats",
	"PcapExamples/pcapng-example.pcapng":   "64 bits of nanoseconds end in 2262",
	"tcpdump/ppp_ip_udp_dns.pcap":          ppp,
	"tcpdump/ppp_error_hexdump.pcap":       ppp,
	"heapoverflow-ppp_hdlc_if_print.pcap":  ppp,
	"joincap/bad_end.pcap":                 zeros,
	"tcpdump/bgp_vpn_rt-oobr.pcap":         zeros,
	"joincap/bad_first_header.pcap":        "a header without lengths, and no record behind it, is damage",
	"tcpdump/timestamp_invalid_nano.pcap":  fraction,
	"tcpdump/timestamp_invalid_micro.pcap": fraction,
	"tcpdump/rx_serviceid_oobr.pcap":       fraction,
	"tcpdump/atm-oam-heapoverflow.pcap":    sunATM,
	"atm-oam-loopback-print-overrun.pcap":  sunATM,
}

const (
	ppp      = "50 is written as 9"
	zeros    = "a record header of zeros is damage"
	fraction = "Wireshark overflows where the fraction is over a second"
	sunATM   = "Wireshark takes the header of SunATM apart and writes another one"
)

// frame is a packet as anybody sees it.
type frame struct {
	time     string // in nanoseconds
	length   uint32
	linkType uint16
	data     string
}

// compareFrames says in what frames differ. Wireshark stops at damage, which cut says.
func compareFrames(ours, wireshark []frame, cut bool) string {
	for i := range min(len(ours), len(wireshark)) {
		if ours[i] != wireshark[i] {
			return fmt.Sprintf("packet %d: ours %v, Wireshark's %v", i+1, ours[i], wireshark[i])
		}
	}
	if len(ours) < len(wireshark) || len(ours) > len(wireshark) && !cut {
		return fmt.Sprintf("%d packets, Wireshark has %d", len(ours), len(wireshark))
	}
	return ""
}

// String is short.
func (f frame) String() string {
	return fmt.Sprintf("{time %s, length %d, link type %d, %d bytes %.40x}", f.time, f.length, f.linkType, len(f.data), f.data)
}

func readFrames(t *testing.T, path string) (frames []frame) {
	r, err := stream.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for p, err := range r.Packets() {
		var damage *stream.Damage
		if err != nil && !errors.As(err, &damage) && !errors.Is(err, stream.ErrNotCapture) {
			t.Fatal(err)
		}
		if err != nil {
			continue
		}
		time := fmt.Sprint(p.Time)
		if p.Untimed {
			time = "0"
		}
		frames = append(frames, frame{time, p.WireLength, uint16(p.LinkType), string(p.Data)})
	}
	return frames
}

// readPlainPcapNG reads a sound little-endian pcapng: draft-ietf-opsawg-pcapng.
func readPlainPcapNG(file []byte) (frames []frame) {
	order := binary.LittleEndian
	type device struct {
		linkType uint16
		perUnit  *big.Rat // nanoseconds
		offset   int64    // seconds
	}
	var devices []device
	for len(file) >= 12 {
		kind, length := order.Uint32(file), order.Uint32(file[4:])
		if length < 12 || int(length) > len(file) {
			break // editcap has stopped
		}
		body := file[8 : length-4]
		switch file = file[length:]; kind {
		case 0x0A0D0D0A:
			devices = nil
		case 1:
			d := device{order.Uint16(body), big.NewRat(1000, 1), 0}
			for options := body[8:]; len(options) >= 4; {
				code, size := order.Uint16(options), int(order.Uint16(options[2:]))
				value := options[4:]
				switch {
				case code == 9 && value[0]&0x80 == 0:
					d.perUnit = big.NewRat(1e9, int64(math.Pow10(int(value[0]))))
				case code == 9:
					d.perUnit = new(big.Rat).SetFrac(big.NewInt(1e9), new(big.Int).Lsh(big.NewInt(1), uint(value[0]&0x7f)))
				case code == 14:
					d.offset = int64(order.Uint64(value))
				}
				options = options[4+(size+3)/4*4:]
			}
			devices = append(devices, d)
		case 6:
			d := devices[order.Uint32(body)]
			units := new(big.Rat).SetInt(new(big.Int).SetUint64(uint64(order.Uint32(body[4:]))<<32 | uint64(order.Uint32(body[8:]))))
			units.Mul(units, d.perUnit)
			time := new(big.Int).Quo(units.Num(), units.Denom())
			time.Add(time, new(big.Int).Mul(big.NewInt(d.offset), big.NewInt(1e9)))
			captured := order.Uint32(body[12:])
			frames = append(frames, frame{time.String(), order.Uint32(body[16:]), d.linkType, string(body[20:][:captured])})
		}
	}
	return frames
}

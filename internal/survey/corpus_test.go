package survey_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/survey"
	"pcap-replay/stream"
)

// indexed is what INDEX.tsv says of a capture: the columns of a careful parser, which stops
// at the first defect, and the time range of capinfos.
type indexed struct {
	path, note string
	columns    map[string]string
}

// defects are the notes on damaged captures. The other notes are on packets that are
// unusual but intact.
var defects = map[string]string{
	"trunc-rec-hdr": "record header: wanted",
	"trunc-data":    "record: wanted",
	"bad-caplen":    "captured length",
	"short-header":  "file header: wanted 24 bytes, got 7",
}

// exceptions are the columns in which the index is wrong, with the reason.
var exceptions = map[string]map[string]string{
	"Pcap++Test/PcapExamples/pcapng-example.pcapng": {
		"last": beyond2262, "latest": beyond2262, "earliest": beyond2262,
	},
	"libpcap/shb-option-too-long.pcapng": {"first": beyond2262, "last": beyond2262},

	"basic/test012.pcapng":     {"truncated": simplePacketsAreCut},
	"advanced/test101.pcapng":  {"truncated": simplePacketsAreCut},
	"advanced/test102.pcapng":  {"truncated": simplePacketsAreCut},
	"difficult/test201.pcapng": {"truncated": simplePacketsAreCut},
	"difficult/test202.pcapng": {"truncated": simplePacketsAreCut},

	"tcpdump/atm-oam-loopback-print-overrun.pcap": {"earliest": capinfosDecodes, "latest": capinfosDecodes},
	"tcpdump/olsr-oobr-2.pcap":                    {"earliest": capinfosSkips, "latest": capinfosSkips},
	"tcpdump/pim_header_asan-2.pcap":              {"earliest": capinfosSkips},
	"tcpdump/rx_serviceid_oobr.pcap":              {"earliest": capinfosFraction},
	"tcpdump/timestamp_invalid_micro.pcap":        {"latest": capinfosFraction},
	"tcpdump/timestamp_invalid_nano.pcap":         {"latest": capinfosFraction},
}

// headersOfZeros are captures with record headers of zeros, which are damage here and
// packets in the index.
var headersOfZeros = map[string]int64{ // packets
	"joincap/bad_end.pcap":          850,
	"joincap/bad_first_header.pcap": 850,
	"tcpdump/bgp_vpn_rt-oobr.pcap":  1,
	"tcpdump/vtp_asan.pcap":         1,
}

const (
	beyond2262          = "64 bits of nanoseconds end in 2262"
	simplePacketsAreCut = "the index does not look at the lengths of simple packet blocks"
	capinfosDecodes     = "capinfos takes the time from the pseudo header of the packet"
	capinfosSkips       = "capinfos leaves packets out of the range"
	capinfosFraction    = "capinfos overflows where the fraction is over a second"
)

func exceptionOf(path, column string) (reason string) {
	for suffix, columns := range exceptions {
		if strings.HasSuffix(path, suffix) {
			return columns[column]
		}
	}
	return ""
}

func readIndex(t *testing.T) (corpus string, entries []indexed) {
	t.Helper()
	corpus, rows := lab.CorpusIndex(t)
	for _, row := range rows {
		e := indexed{path: row["path"], note: row["note"], columns: map[string]string{
			"format": formatName(row["format"]), "compression": row["comp"], "link types": linkTypesOf(row["link"]), "packets": row["pkts"],
			"first": row["first_ts"], "last": row["last_ts"], "out of order": row["out_of_order"], "truncated": row["cut"],
		}}
		if e.columns["compression"] == "" {
			e.columns["compression"] = "none"
		}
		if strings.Trim(row["capinfos_first"], "n/a") != "" { // capinfos stops at the first packet without a time
			e.columns["earliest"], e.columns["latest"] = padTime(row["capinfos_first"]), padTime(row["capinfos_last"])
		}
		entries = append(entries, e)
	}
	return corpus, entries
}

// linkTypesOf are the link types of a column of the index. Number 12 is that of DLT_RAW, which
// a Reader reads as LINKTYPE_RAW.
func linkTypesOf(column string) string {
	return strings.Trim(strings.ReplaceAll("+"+column+"+", "+12+", "+101+"), "+")
}

// formatName is the name in records of a format of the index.
func formatName(format string) string {
	format = strings.TrimSuffix(strings.TrimSuffix(format, "-le"), "-be")
	switch format {
	case "pcap-us":
		return "pcap"
	case "pcap-kuznetzov":
		return "pcap-modified"
	}
	return format
}

func TestCorpusAgreesWithIndex(t *testing.T) {
	corpus, index := readIndex(t)
	for _, want := range index {
		got, err := surveyFile(filepath.Join(corpus, want.path))
		defect, broken := defects[want.note]
		packets, hasZeros := headersOfZeros[want.path]
		switch {
		case hasZeros:
			if err != nil || got.Packets != packets || len(got.Damage) != 1 {
				t.Errorf("%s: %d packets, damage %v, error %v; wanted %d packets", want.path, got.Packets, got.Damage, err, packets)
			}
		case want.columns["packets"] == "":
			if !errors.Is(err, stream.ErrNotCapture) || broken && !strings.Contains(err.Error(), defect) {
				t.Errorf("%s: %v, wanted ErrNotCapture %s", want.path, err, defect)
			}
		case err != nil:
			t.Errorf("%s: %v", want.path, err)
		case broken:
			checkBroken(t, want, got, defect)
		default:
			for column, value := range columnsOf(got) {
				wanted, given := want.columns[column]
				if reason := exceptionOf(want.path, column); given && (value == wanted) == (reason != "") {
					t.Errorf("%s: %s %s, wanted %s (exception: %q); damage %v", want.path, column, value, wanted, reason, got.Damage)
				}
			}
		}
	}
}

// checkBroken requires every packet that the index found before the defect, and a report of
// the defect.
func checkBroken(t *testing.T, want indexed, got record.Capture, defect string) {
	t.Helper()
	if packets, _ := strconv.ParseInt(want.columns["packets"], 10, 64); got.Packets < packets {
		t.Errorf("%s: %d packets, wanted at least %d", want.path, got.Packets, packets)
	}
	if first := unixTime(got.First); first != want.columns["first"] {
		t.Errorf("%s: first %s, wanted %s", want.path, first, want.columns["first"])
	}
	if len(got.Damage) != 1 || !strings.Contains(got.Damage[0].Reason, defect) || got.LostBytes == 0 {
		t.Errorf("%s (%s): damage %v", want.path, want.note, got.Damage)
	}
}

// columnsOf converts a record to the columns of the index.
func columnsOf(c record.Capture) map[string]string {
	return map[string]string{
		"format": c.Format, "compression": c.Compression, "link types": linkTypes(c),
		"packets": strconv.FormatInt(c.Packets, 10), "first": unixTime(c.First), "last": unixTime(c.Last),
		"earliest": unixTime(c.Earliest), "latest": unixTime(c.Latest),
		"out of order": strconv.FormatInt(c.OutOfOrder, 10), "truncated": strconv.FormatInt(c.Truncated, 10),
	}
}

func surveyFile(path string) (record.Capture, error) {
	r, err := stream.Open(path)
	if err != nil {
		return record.Capture{}, err
	}
	defer r.Close()
	return survey.Take(r, nil)
}

func unixTime(t *record.Time) string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("%d.%09d", *t/1e9, *t%1e9)
}

func padTime(text string) string {
	seconds, fraction, _ := strings.Cut(text, ".")
	return seconds + "." + (fraction + strings.Repeat("0", 9))[:9]
}

func linkTypes(c record.Capture) string {
	if c.LinkType == nil {
		return "-"
	}
	text := ""
	for _, t := range c.LinkTypes {
		text += "+" + strconv.Itoa(int(t))
	}
	if text == "" {
		return strconv.Itoa(int(*c.LinkType))
	}
	return text[1:]
}

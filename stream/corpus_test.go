package stream_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// indexEntry is a line of the corpus' INDEX.tsv: what a careful parser says of a
// capture. It stops at the first defect.
type indexEntry struct {
	path, note      string
	linkTypes       string
	packets         int
	firstAt, lastAt string
}

func readIndex(t *testing.T) (entries []indexEntry) {
	t.Helper()
	corpus, rows := lab.CorpusIndex(t)
	for _, row := range rows {
		packets, err := strconv.Atoi(row["pkts"])
		if err != nil {
			packets = -1 // no capture
		}
		entries = append(entries, indexEntry{
			path: filepath.Join(corpus, row["path"]), linkTypes: withoutDLT(row["link"]),
			packets: packets, firstAt: row["first_ts"], lastAt: row["last_ts"], note: row["note"],
		})
	}
	return entries
}

// contents is what a stream holds.
type contents struct {
	packets         int
	timed           int
	firstAt, lastAt string
	linkTypes       string
	damage          []string
	digest          [32]byte
	err             error
}

// readAll reads a stream to its end in batches of the given size.
func readAll(r *stream.Reader, batchSize int) (c contents) {
	digest := sha256.New()
	batch := make([]stream.Packet, batchSize)
	for {
		n, err := r.Read(batch)
		if n > 0 == (err != nil) {
			c.err = fmt.Errorf("Read returned %d packets and error %v, wanted one of them", n, err)
			return c
		}
		for _, p := range batch[:n] {
			if !p.Untimed {
				c.lastAt = fmt.Sprintf("%d.%09d", p.Time/1e9, p.Time%1e9)
				if c.timed++; c.timed == 1 {
					c.firstAt = c.lastAt
				}
			}
			fmt.Fprintln(digest, p.Time, p.WireLength, p.LinkType, len(p.Data))
			digest.Write(p.Data)
		}
		c.packets += n
		var damage *stream.Damage
		switch {
		case errors.As(err, &damage):
			c.damage = append(c.damage, damage.Error())
			fmt.Fprintln(digest, damage)
		case err != nil:
			for _, linkType := range r.LinkTypes() {
				c.linkTypes += fmt.Sprintf("+%d", linkType)
			}
			c.linkTypes = strings.TrimPrefix(c.linkTypes, "+")
			if err != io.EOF {
				c.err = err
			}
			digest.Sum(c.digest[:0])
			return c
		}
	}
}

func readFile(t *testing.T, path string, batchSize, blockSize int, wrap func(io.Reader) io.Reader) contents {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := stream.NewReaderSize(wrap(file), blockSize)
	defer r.Close()
	return readAll(r, batchSize)
}

func whole(r io.Reader) io.Reader { return r }

// beyondTime are captures with timestamps that 64 bits of nanoseconds do not
// hold: they end in the year 2262.
var beyondTime = map[string]bool{"pcapng-example.pcapng": true, "shb-option-too-long.pcapng": true}

// headersOfZeros are captures with record headers of zeros, which are damage and not
// packets.
var headersOfZeros = map[string]bool{"bgp_vpn_rt-oobr.pcap": true, "vtp_asan.pcap": true, "bad_end.pcap": true}

func TestCorpusAgreesWithIndex(t *testing.T) {
	for _, want := range readIndex(t) {
		got := readFile(t, want.path, 256, stream.DefaultBlockSize, whole)
		name := filepath.Base(filepath.Dir(want.path)) + "/" + filepath.Base(want.path)
		if want.packets < 0 {
			if !errors.Is(got.err, stream.ErrNotCapture) {
				t.Errorf("%s: %v, wanted ErrNotCapture", name, got.err)
			}
			continue
		}
		if got.err != nil {
			t.Errorf("%s: %v", name, got.err)
			continue
		}
		if want.note != "" {
			t.Logf("%s (%s): %d packets, index has %d; damage %q", name, want.note, got.packets, want.packets, got.damage)
			if got.packets < want.packets && !headersOfZeros[filepath.Base(want.path)] {
				t.Errorf("%s (%s): %d packets, wanted at least %d", name, want.note, got.packets, want.packets)
			}
			continue
		}
		if beyondTime[filepath.Base(want.path)] && got.lastAt == "9223372036.854775807" {
			got.firstAt, got.lastAt = want.firstAt, want.lastAt
		}
		if got.packets != want.packets || got.firstAt != want.firstAt || got.lastAt != want.lastAt || got.linkTypes != strings.Trim(want.linkTypes, "-") {
			t.Errorf("%s: %d packets %s to %s of link type %q, wanted %d, %s to %s, %q; damage %q", name, got.packets, got.firstAt, got.lastAt, got.linkTypes,
				want.packets, want.firstAt, want.lastAt, want.linkTypes, got.damage)
		}
		if len(got.damage) > 0 {
			t.Logf("%s: damage %q", name, got.damage)
		}
	}
}

// What is read must not depend on how it comes: neither on the size of blocks
// and batches nor on how much the source gives at a time.
func TestCorpusReadsTheSameInAnyPieces(t *testing.T) {
	for _, entry := range readIndex(t) {
		info, err := os.Stat(entry.path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 100<<10 && entry.note == "" {
			continue
		}
		want := readFile(t, entry.path, 256, stream.DefaultBlockSize, whole)
		for name, got := range map[string]contents{
			"single packets":  readFile(t, entry.path, 1, stream.DefaultBlockSize, whole),
			"small blocks":    readFile(t, entry.path, 7, 1, iotest.HalfReader),
			"data with error": readFile(t, entry.path, 256, 5000, iotest.DataErrReader),
		} {
			if got.digest != want.digest {
				t.Errorf("%s in %s: %d packets, damage %q; wanted %d packets, damage %q", entry.path, name, got.packets, got.damage, want.packets, want.damage)
			}
		}
	}
}

// withoutDLT replaces the number of DLT_RAW by that of LINKTYPE_RAW, as which it is read.
// The index has the numbers in the files.
func withoutDLT(linkTypes string) string {
	return strings.Trim(strings.ReplaceAll("+"+linkTypes+"+", "+12+", "+101+"), "+")
}

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tool/tooltest"
	"pcap-replay/stream"
)

func compareTimes(a, b stream.Packet) int {
	switch {
	case a.Time < b.Time:
		return -1
	case a.Time > b.Time:
		return 1
	}
	return 0
}

// compareAll orders packets of equal time, too, for which mergecap has an order
// of its own.
func compareAll(a, b stream.Packet) int {
	if order := compareTimes(a, b); order != 0 {
		return order
	}
	return bytes.Compare(a.Data, b.Data)
}

// TestMergeAgreesWithMergecap has captures of the same traffic that were split.
func TestMergeAgreesWithMergecap(t *testing.T) {
	corpus := lab.Corpus(t)
	lab.NeedProgram(t, "mergecap")
	for _, pair := range [][]string{
		{"ITI-ICS/pcaps/EthernetIP/EthernetIP-CIP.pcap", "ITI-ICS/pcaps/ModbusTCP/ModbusTCP.pcap"},
		{
			"ITI-ICS/pcaps/ModbusTCP/ModbusTCP.pcap", "ITI-ICS/pcaps/EthernetIP/EthernetIP-CIP.pcap",
			"ITI-ICS/pcaps/profinet/PROFINET-RT-DCP/PROFINET-RT.pcap",
		},
		{"4KHttpRequests.pcap", "650HttpResponses.pcap"},
	} {
		t.Run(filepath.Base(pair[0]), func(t *testing.T) {
			t.Parallel()
			var inputs [][]stream.Packet
			for i := range pair {
				pair[i] = findCapture(t, corpus, pair[i])
				inputs = append(inputs, lab.ReadCapture(t, pair[i]))
			}
			code, out, messages := tooltest.Run(merger(), nil, pair...)
			if code != tool.ExitDone || messages != "" {
				t.Fatalf("exit %d: %s", code, messages)
			}
			got := lab.ReadPackets(t, strings.NewReader(out))
			stable := slices.Concat(inputs...)
			slices.SortStableFunc(stable, compareTimes)
			lab.WantPackets(t, got, stable)

			merged, err := exec.Command("mergecap", append([]string{"-F", "nsecpcap", "-w", "-"}, pair...)...).Output()
			if err != nil {
				t.Fatal(err)
			}
			want := lab.ReadPackets(t, bytes.NewReader(merged))
			slices.SortStableFunc(want, compareAll)
			slices.SortStableFunc(got, compareAll)
			lab.WantPackets(t, got, want)
		})
	}
}

// findCapture finds a capture by its path, or by its name alone.
func findCapture(t *testing.T, corpus, name string) string {
	t.Helper()
	if path := filepath.Join(corpus, name); strings.Contains(name, "/") {
		return path
	}
	_, rows := lab.CorpusIndex(t)
	for _, row := range rows {
		if filepath.Base(row["path"]) == name {
			return filepath.Join(corpus, row["path"])
		}
	}
	t.Fatalf("no %s in the corpus", name)
	return ""
}

// TestMergeAgreesWithReordercap puts captures in order that are not.
func TestMergeAgreesWithReordercap(t *testing.T) {
	corpus := lab.Corpus(t)
	lab.NeedProgram(t, "reordercap")
	for _, name := range []string{"joincap/out_of_order.pcap", "joincap/second_packet_time_is_1970.pcap", "joincap/second_packet_time_is_smaller_but_not_too_small.pcap", "babel_update_oobr.pcap"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			path := findCapture(t, corpus, name)
			want := filepath.Join(t.TempDir(), "want.pcap")
			if out, err := exec.Command("reordercap", path, want).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			code, out, messages := tooltest.Run(merger(), nil, "--reorder", "1000000h", path)
			if code != tool.ExitDone || messages != "" {
				t.Fatalf("exit %d: %s", code, messages)
			}
			got, sorted := lab.ReadPackets(t, strings.NewReader(out)), lab.ReadCapture(t, want)
			slices.SortStableFunc(got, compareAll)
			if !slices.IsSortedFunc(lab.ReadPackets(t, strings.NewReader(out)), compareTimes) {
				t.Error("not in order")
			}
			slices.SortStableFunc(sorted, compareAll)
			lab.WantPackets(t, got, sorted)
		})
	}
}

// TestMergeBesideDamage merges one sound capture with each of joincap's cases:
// the sound one comes through whole, so does what can be read of the other.
func TestMergeBesideDamage(t *testing.T) {
	corpus := lab.Corpus(t)
	folder := t.TempDir()
	sound := filepath.Join(corpus, "joincap/ok.pcap")
	data, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	broken := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	zipped, err := os.ReadFile(filepath.Join(corpus, "joincap/ok.pcap.gz"))
	if err != nil {
		t.Fatal(err)
	}
	zipped[len(zipped)-8] ^= 1 // the checksum
	for name, c := range map[string]struct {
		path      string
		code      int
		atLeast   int // packets of the other capture
		exactly   bool
		complaint string
	}{
		"no packets":               {filepath.Join(corpus, "joincap/no_packets.pcap"), tool.ExitDone, 0, true, ""},
		"whole":                    {sound, tool.ExitDone, 851, true, ""},
		"gzipped":                  {filepath.Join(corpus, "joincap/ok.pcap.gz"), tool.ExitDone, 851, true, ""},
		"empty":                    {broken("empty.pcap", nil), tool.ExitDone, 0, true, ""},
		"under 24 bytes":           {filepath.Join(corpus, "joincap/partial_global_header.pcap"), tool.ExitDamaged, 0, true, "not a capture"},
		"24 to 40 bytes":           {filepath.Join(corpus, "joincap/partial_first_header.pcap"), tool.ExitDamaged, 0, true, "record 1"},
		"end in the first packet":  {filepath.Join(corpus, "joincap/unexpected_eof_on_first_packet.pcap"), tool.ExitDamaged, 0, true, "record 1"},
		"end in the second packet": {filepath.Join(corpus, "joincap/unexpected_eof_on_second_packet.pcap"), tool.ExitDamaged, 1, true, "record 2"},
		"end in the last packet":   {broken("cut.pcap", data[:len(data)-1]), tool.ExitDamaged, 850, true, "record 851"},
		"bad file header":          {broken("header.pcap", append([]byte("bad!"), data[4:]...)), tool.ExitDamaged, 0, true, "not a capture"},
		"bad first record":         {filepath.Join(corpus, "joincap/bad_first_header.pcap"), tool.ExitDamaged, 850, true, "record 1"},
		"garbage at the end":       {filepath.Join(corpus, "joincap/bad_end.pcap"), tool.ExitDamaged, 850, true, "record 851"},
		"bad checksum":             {broken("checksum.pcap.gz", zipped), tool.ExitDamaged, 851, true, "gzip data is damaged"},
		"missing":                  {filepath.Join(folder, "missing.pcap"), tool.ExitDamaged, 0, true, "no such file"},
		"other snaplen":            {filepath.Join(corpus, "joincap/very_small_snaplen.pcap"), tool.ExitDone, 851, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := lab.ReadCapture(t, sound)
			for _, args := range [][]string{{sound, c.path}, {c.path, sound}} {
				code, out, messages := tooltest.Run(merger(), nil, args...)
				if code != c.code || !strings.Contains(messages, c.complaint) || c.complaint == "" && messages != "" {
					t.Errorf("exit %d, wanted %d: %s", code, c.code, messages)
				}
				got := lab.ReadPackets(t, strings.NewReader(out))
				if extra := len(got) - len(want); extra < c.atLeast || c.exactly && extra != c.atLeast {
					t.Errorf("%d packets of the other capture, wanted %d", extra, c.atLeast)
				}
				counts := map[string]int{}
				for i := range got {
					counts[fmt.Sprint(got[i].Time, got[i].Data)]++
				}
				for i := range want {
					if counts[fmt.Sprint(want[i].Time, want[i].Data)] == 0 {
						t.Fatalf("packet %d of the sound capture is lost", i+1)
					}
				}
			}
			if c.code == tool.ExitDamaged {
				code, out, messages := tooltest.Run(merger(), nil, "--strict", c.path, sound)
				if code != tool.ExitFailed {
					t.Errorf("--strict: exit %d, %d bytes out: %s", code, len(out), messages)
				}
			}
		})
	}
}

// TestMergeTakesEveryCut cuts a capture at every byte: alone, beside a sound one,
// and as a stream.
func TestMergeTakesEveryCut(t *testing.T) {
	packets := lab.Packets(4, lab.Start, 1e6, 60)
	whole := lab.Pcap(packets, binary.LittleEndian, true)
	other := filepath.Join(t.TempDir(), "other.pcap")
	if err := os.WriteFile(other, lab.Pcap(lab.Packets(3, lab.Start+5e5, 1e6, 90), binary.BigEndian, true), 0o666); err != nil {
		t.Fatal(err)
	}
	cutFile := filepath.Join(t.TempDir(), "cut.pcap")
	for size := range len(whole) + 1 {
		if err := os.WriteFile(cutFile, whole[:size], 0o666); err != nil {
			t.Fatal(err)
		}
		complete := max(0, size-24) / 76
		wantCode := tool.ExitDamaged
		if size == 0 || size >= 24 && (size-24)%76 == 0 {
			wantCode = tool.ExitDone
		}
		alone := wantCode
		if size > 0 && size < 24 {
			alone = tool.ExitFailed
		}
		for _, c := range []struct {
			in   []byte
			args []string
			code int
			want int
		}{
			{nil, []string{cutFile}, alone, complete},
			{whole[:size], nil, alone, complete},
			{nil, []string{cutFile, other}, wantCode, complete + 3},
			{whole[:size], []string{other, "-"}, wantCode, complete + 3},
		} {
			code, out, messages := tooltest.Run(merger(), c.in, c.args...)
			if got := len(lab.ReadPackets(t, strings.NewReader(out))); code != c.code || got != c.want {
				t.Fatalf("cut at %d, %q: exit %d with %d packets, wanted %d with %d: %s", size, c.args, code, got, c.code, c.want, messages)
			}
		}
	}
}

// TestMergeShardsAreDisjoint takes all shards of many flows, in both directions, of which
// some packets are fragments.
func TestMergeShardsAreDisjoint(t *testing.T) {
	var packets []stream.Packet
	for i := range 3000 {
		data := lab.Frame(uint16(i%100), uint32(i), 60)
		if i%7 == 0 {
			data[21] = 5 // fragment offset: the ports are in another packet
		}
		if i%3 == 0 { // the answer
			for at := 0; at < 4; at++ {
				data[26+at], data[30+at] = data[30+at], data[26+at]
			}
			data[34], data[35], data[36], data[37] = data[36], data[37], data[34], data[35]
		}
		packets = append(packets, stream.Packet{Time: lab.Start + int64(i), Data: data, WireLength: 60, LinkType: stream.LinkTypeEthernet})
	}
	in := lab.Pcap(packets, binary.LittleEndian, true)
	shardOf := map[int]int{}
	var union []stream.Packet
	for shard := range 4 {
		code, out, messages := tooltest.Run(merger(), in, "--shard", fmt.Sprintf("%d/4", shard))
		if code != tool.ExitDone {
			t.Fatalf("exit %d: %s", code, messages)
		}
		part := lab.ReadPackets(t, strings.NewReader(out))
		for i := range part {
			flow := int(part[i].Time-lab.Start) % 100
			if other, ok := shardOf[flow]; ok && other != shard {
				t.Fatalf("flow %d is in shards %d and %d", flow, other, shard)
			}
			shardOf[flow] = shard
		}
		if len(part) < 300 {
			t.Errorf("shard %d has %d packets", shard, len(part))
		}
		union = append(union, part...)
	}
	slices.SortStableFunc(union, compareTimes)
	lab.WantPackets(t, union, packets)
}

// TestMergeTakesTheCorpus merges every capture alone, and all of a folder.
func TestMergeTakesTheCorpus(t *testing.T) {
	corpus, rows := lab.CorpusIndex(t)
	t.Run("each", func(t *testing.T) {
		t.Parallel()
		for _, row := range rows {
			path := filepath.Join(corpus, row["path"])
			want := lab.ReadCapture(t, path)
			code, out, messages := tooltest.Run(merger(), nil, "--pcapng", path)
			if code != tool.ExitDone && code != tool.ExitDamaged && (code != tool.ExitFailed || len(want) > 0) {
				t.Errorf("%s: exit %d: %s", row["path"], code, messages)
			}
			got := lab.ReadPackets(t, strings.NewReader(out))
			slices.SortStableFunc(got, compareAll)
			slices.SortStableFunc(want, compareAll)
			if len(got) != len(want) {
				t.Errorf("%s: %d packets, wanted %d", row["path"], len(got), len(want))
				continue
			}
			for i := range want {
				if compareAll(got[i], want[i]) != 0 {
					t.Errorf("%s: packet %d differs", row["path"], i+1)
					break
				}
			}
		}
	})
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		want := 0
		for _, row := range rows {
			if strings.HasPrefix(row["path"], "tcpdump/") {
				want += len(lab.ReadCapture(t, filepath.Join(corpus, row["path"])))
			}
		}
		for _, args := range [][]string{nil, {"--memory", "0", "--reorder", "0"}} {
			code, out, messages := tooltest.Run(merger(), nil, append(append([]string{"--pcapng"}, args...), filepath.Join(corpus, "tcpdump"))...)
			if got := len(lab.ReadPackets(t, strings.NewReader(out))); code != tool.ExitDamaged || got != want || want < 10000 { // two of them have record headers of zeros
				t.Errorf("%q: exit %d with %d packets, wanted %d with %d: %s", args, code, got, tool.ExitDamaged, want, messages)
			}
		}
	})
}

// Packets of times that the output does not hold are left out and counted, and the
// others are not lost with them.
func TestMergeCountsUnwritableTimes(t *testing.T) {
	const firstTimestamp = 28 + 32 + 12 // after a section header and an interface
	packets := lab.Pcap(lab.Packets(5, lab.Start, 1e6, 60), binary.LittleEndian, true)
	_, out, _ := tooltest.Run(merger(), packets, "--pcapng")
	future := []byte(out)
	binary.NativeEndian.PutUint32(future[firstTimestamp:], 1<<30) // the year 2116
	for _, c := range []struct {
		args       []string
		code, want int
		unwritable string
		message    string
	}{
		{nil, tool.ExitDamaged, 4, `"unwritable":1,`, "1 packet left out"},
		{[]string{"--strict"}, tool.ExitFailed, 4, `"unwritable":1,`, "1 packet left out"},
		{[]string{"--pcapng"}, tool.ExitDone, 5, `"unwritable":0,`, ""},
	} {
		report := filepath.Join(t.TempDir(), "report")
		code, out, messages := tooltest.Run(merger(), future, append(c.args, "--report", report)...)
		said, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(lab.ReadPackets(t, strings.NewReader(out))); code != c.code || got != c.want || !strings.Contains(messages, c.message) || !strings.Contains(string(said), c.unwritable) {
			t.Errorf("%q: exit %d with %d packets, wanted %d with %d: %s%s", c.args, code, got, c.code, c.want, messages, said)
		}
	}
}

// FuzzMerge takes any bytes, as a stream and as a file: every packet that the
// reader finds comes out, in order, but for those from before 1970.
func FuzzMerge(f *testing.F) {
	first := lab.Pcap(lab.Packets(3, lab.Start, 1e6, 60), binary.LittleEndian, true)
	second := lab.Pcap(lab.Packets(3, lab.Start-5e5, 1e6, 60), binary.BigEndian, false)
	f.Add(first)
	f.Add(slices.Concat(first, second))
	f.Add(slices.Concat(first[:150], second[:100]))
	f.Add([]byte{})
	f.Add([]byte("no capture"))
	f.Fuzz(func(t *testing.T, data []byte) {
		want := lab.ReadPackets(t, bytes.NewReader(data))
		want = slices.DeleteFunc(want, func(p stream.Packet) bool { return p.Time < 0 })
		slices.SortStableFunc(want, compareTimes)
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			in   []byte
			args []string
		}{{data, nil}, {data, []string{"--memory", "0"}}, {nil, []string{path}}} {
			code, out, messages := tooltest.Run(merger(), c.in, append([]string{"--pcapng", "--reorder", "2500000h"}, c.args...)...)
			if code != tool.ExitDone && code != tool.ExitDamaged && code != tool.ExitFailed {
				t.Fatalf("exit %d: %s", code, messages)
			}
			lab.WantPackets(t, lab.ReadPackets(t, strings.NewReader(out)), want)
		}
		_, out, _ := tooltest.Run(merger(), nil, "--pcapng", path) // in less order, perhaps, but complete
		got := lab.ReadPackets(t, strings.NewReader(out))
		slices.SortStableFunc(got, compareAll)
		slices.SortStableFunc(want, compareAll)
		lab.WantPackets(t, got, want)
	})
}

// A merge of all Ethernet captures of the corpus is read back packet for packet, by
// pcap-merge itself and by Wireshark, although their times jump by years.
func TestWhatIsMergedIsReadBack(t *testing.T) {
	corpus, rows := lab.CorpusIndex(t)
	var ethernet, all []string
	for _, row := range rows {
		all = append(all, filepath.Join(corpus, row["path"]))
		if row["link"] == "1" {
			ethernet = append(ethernet, filepath.Join(corpus, row["path"]))
		}
	}
	for name, args := range map[string][]string{"pcap": ethernet, "pcapng": append([]string{"--pcapng"}, all...)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "merged")
			if code, _, messages := tooltest.Run(merger(), nil, append([]string{"-o", path}, args...)...); code != tool.ExitDamaged {
				t.Fatalf("exit %d: %s", code, messages)
			}
			merged := lab.ReadCapture(t, path)
			again, out, messages := tooltest.Run(merger(), nil, "--pcapng", "--reorder", "0", path)
			if got := lab.ReadPackets(t, strings.NewReader(out)); again != tool.ExitDone || len(got) != len(merged) || len(got) < 100_000 {
				t.Errorf("exit %d with %d packets, wanted 0 with %d: %s", again, len(got), len(merged), messages)
			}
			if _, err := exec.LookPath("capinfos"); err != nil {
				t.Skip("no capinfos")
			}
			counted, err := exec.Command("capinfos", "-TrcM", path).Output()
			if err != nil {
				t.Fatal(err)
			}
			if fields := strings.Fields(string(counted)); fields[len(fields)-1] != strconv.Itoa(len(merged)) {
				t.Errorf("capinfos counts %q, wanted %d", fields, len(merged))
			}
		})
	}
}

// A pcapng keeps the direction of each packet, also of those that go through files.
func TestDirectionsAreKept(t *testing.T) {
	packets := lab.Packets(3000, lab.Start, time.Millisecond, 100)
	for i := range packets {
		packets[i].Direction = stream.Direction(i % 3)
	}
	var section bytes.Buffer
	w, err := stream.NewWriter(&section, stream.WriterOptions{PcapNG: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(packets), w.Close()); err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report")
	_, out, messages := tooltest.Run(merger(), bytes.Repeat(section.Bytes(), 2), "--pcapng", "--memory", "64KiB", "--report", report)
	got := lab.ReadPackets(t, strings.NewReader(out))
	if len(got) != 2*len(packets) {
		t.Fatalf("%d packets, wanted %d: %s", len(got), 2*len(packets), messages)
	}
	for i := range got {
		if want := packets[i/2].Direction; got[i].Direction != want {
			t.Fatalf("packet %d has direction %d, wanted %d", i+1, got[i].Direction, want)
		}
	}
	if lab.SummaryOf[record.MergeSummary](t, report).Spilled == 0 {
		t.Error("nothing went through files")
	}
}

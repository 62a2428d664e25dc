package acceptance

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/input"
	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
)

// Whatever the bytes, every tool ends with an exit code of its contract, and no packet
// that can be read of them is lost from one end of the pipeline to the other. The engines
// are fuzzed with the same in package input.
func TestNoPacketIsLost(t *testing.T) {
	first := lab.Pcap(lab.Packets(5, lab.Start, 1e6, 60), binary.LittleEndian, true)
	second := lab.Pcap(lab.Packets(5, lab.Start-2e6, 1e6, 300), binary.BigEndian, false)
	_, ng, _ := run("pcap-merge", first, "--pcapng")
	for name, data := range map[string][]byte{
		"capture":               first,
		"two sections":          slices.Concat(first, second),
		"damaged":               slices.Concat(first[:200], second[30:]),
		"pcapng":                []byte(ng),
		"pcapng, pcap, garbage": slices.Concat([]byte(ng), second, []byte("end")),
		"gzip":                  compressed(t, second),
		"tarball":               tarball(t, "a.pcap", first),
		"gzipped tarball":       compressed(t, tarball(t, "folder/b.pcap", second)),
		"empty":                 {},
		"no capture":            []byte("no capture"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goThroughAllTools(t, data)
		})
	}
}

func goThroughAllTools(t *testing.T, data []byte) {
	t.Helper()
	folder := t.TempDir()
	path := filepath.Join(folder, "file.pcap")
	archive := filepath.Join(folder, "archive.tar.gz")
	err := errors.Join(os.WriteFile(path, data, 0o666), os.WriteFile(archive, compressed(t, tarball(t, "a.pcap", data)), 0o666))
	if err != nil {
		t.Fatal(err)
	}
	packets := lab.CountPackets(data)
	step := func(tool string, in []byte, args ...string) (code int, out string) {
		t.Helper()
		code, out, messages := run(tool, in, args...)
		if code != exitDone && code != exitFailed && code != exitDamaged {
			t.Fatalf("%s: exit %d: %s", tool, code, messages)
		}
		if code != exitDone && messages == "" {
			t.Fatalf("%s: exit %d without a word", tool, code)
		}
		return code, out
	}
	wanted := func(what string, got int) {
		t.Helper()
		if got != packets {
			t.Errorf("%s: %d packets, wanted %d", what, got, packets)
		}
	}

	_, records := step("pcap-map", nil, path)
	if c := (record.Capture{}); record.NewDecoder(strings.NewReader(records)).Decode(&c) == nil && c.Archive == "" {
		wanted("pcap-map", int(c.Packets))
	}
	step("pcap-tarls", data)
	step("pcap-tarcat", data)
	if _, out := step("pcap-tarcat", nil, "--raw", "--name", "a.pcap", archive); out != string(data) {
		t.Errorf("pcap-tarcat --raw gives %d bytes of %d", len(out), len(data))
	}
	step("pcap-tarls", nil, "--index", archive)
	if _, out := step("pcap-tarcat", nil, "--raw", "--name", "a.pcap", archive); out != string(data) {
		t.Errorf("pcap-tarcat --raw by the index gives %d bytes of %d", len(out), len(data))
	}

	for _, packet := range lab.ReadPackets(t, bytes.NewReader(data)) {
		if packet.Time < 0 {
			packets-- // which no format has room for
		}
	}
	for _, memory := range []string{"0", "1MiB"} {
		code, merged := step("pcap-merge", data, "--pcapng", "--memory", memory, "--tmp", folder)
		if code == exitFailed {
			return // it said why: no capture
		}
		if _, is := input.DetectTarball(bytes.NewReader(data)); is {
			packets = lab.CountPackets([]byte(merged)) // of all members
		}
		wanted("pcap-merge", lab.CountPackets([]byte(merged)))
		_, paced := step("pcap-pace", []byte(merged), "--asap", "--pcapng")
		wanted("pcap-pace", lab.CountPackets([]byte(paced)))
		report := filepath.Join(folder, "report")
		step("pcap-inject", []byte(paced), "--asap", "-w", os.DevNull, "--report", report)
		s := lab.SummaryOf[record.InjectSummary](t, report)
		wanted("pcap-inject takes", int(s.PacketsIn))
		wanted("pcap-inject sends and counts", int(s.PacketsOut+s.Skipped.Total()))
	}
	left, err := os.ReadDir(folder)
	for _, entry := range left {
		if !slices.Contains([]string{"file.pcap", "archive.tar.gz", "archive.tar.gz.tarx", "report"}, entry.Name()) {
			t.Errorf("%s is left", entry.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func tarball(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Format: tar.FormatUSTAR})
	_, writeErr := w.Write(data)
	if err := errors.Join(err, writeErr, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func compressed(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// countPackets reads a capture past all damage.
func countPackets(data []byte) (packets int) {
	for _, err := range stream.NewReader(bytes.NewReader(data)).Packets() {
		if err == nil {
			packets++
		}
	}
	return packets
}

// Of every capture of the corpus, pcap-pace gives out all packets, and pcap-inject
// all but those of another link type, which it counts.
func TestPlaybackOfTheCorpus(t *testing.T) {
	t.Parallel()
	corpus := lab.Corpus(t)
	report := filepath.Join(t.TempDir(), "report")
	err := filepath.WalkDir(corpus, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !captureName.MatchString(path) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want, name := countPackets(data), strings.TrimPrefix(path, corpus)
		code, out, messages := run(Pace(), data, "--asap", "--pcapng")
		if got := countPackets([]byte(out)); got != want || code != exitDone && code != exitDamaged && want > 0 {
			t.Errorf("%s: pcap-pace gives %d packets of %d: exit %d\n%s", name, got, want, code, messages)
		}
		run(Inject(), data, "--asap", "-w", "/dev/null", "--report", report)
		if s := lastSummary(t, report); s.PacketsIn != int64(want) || s.PacketsOut+s.Skipped.LinkType != s.PacketsIn {
			t.Errorf("%s: pcap-inject takes %d packets of %d and sends %d", name, s.PacketsIn, want, s.PacketsOut)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lastSummary reads the end of a report of pcap-inject.
func lastSummary(t *testing.T, path string) (s record.InjectSummary) {
	t.Helper()
	report, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	decoder := record.NewDecoder(report)
	for s.Event != "summary" {
		if err := decoder.Decode(&s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A packet comes out though the next one has not come in.
func TestNoPacketWaitsForTheNext(t *testing.T) {
	for _, test := range []struct {
		tool *Tool
		args []string
	}{
		{Pace(), nil},
		{Pace(), []string{"--asap"}},
		{Pace(), []string{"--exact"}},
		{Inject(), []string{"-q", "--delay", "0", "-w", "-"}},
		{Inject(), []string{"-q", "--asap", "-w", "-"}},
	} {
		capture := lab.Pcap(lab.Packets(20, lab.Start, 0, 100), binary.LittleEndian, true)
		fromTest, in := io.Pipe()
		toTest, out := io.Pipe()
		ended := make(chan int, 1)
		go func() {
			ended <- Run(test.tool, test.args, Streams{fromTest, out, io.Discard})
			out.Close()
		}()
		stalled := time.AfterFunc(20*time.Second, func() { toTest.CloseWithError(errors.New("stalled")) })
		got := make([]byte, 24+100+16)
		for len(capture) > 0 {
			size := min(len(got), len(capture))
			if _, err := in.Write(capture[:size]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(toTest, got[:size]); err != nil {
				t.Fatalf("%s %v: with %d bytes to come: %v", test.tool.Name, test.args, len(capture)-size, err)
			}
			capture, got = capture[size:], got[:100+16]
		}
		in.Close()
		if _, err := io.Copy(io.Discard, toTest); err != nil {
			t.Fatal(err)
		}
		stalled.Stop()
		if code := <-ended; code != exitDone {
			t.Errorf("%s %v: exit %d", test.tool.Name, test.args, code)
		}
	}
}

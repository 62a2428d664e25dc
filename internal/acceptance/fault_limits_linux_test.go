package acceptance

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// With 32 descriptors everything comes out that does with any number of them.
func TestFewDescriptors(t *testing.T) {
	linkTools(t)
	makeSet(t, lab.WorkerSet{Workers: 200, Packets: 4000, Duration: time.Second, FileSize: 1 << 20, Seed: 6})
	all := lab.ReadPackets(t, bytes.NewReader(shell(t, "pcap-merge captures")))
	shell(t, `pcap-map captures > map.ndjson; pcap-map captures | head -n 60 > sixty.ndjson; cp set.tar.gz indexed.tar.gz
		pcap-tarls --index indexed.tar.gz > indexed.ndjson; pcap-tarls set.tar.gz | head -n 60 > members.ndjson
		gzip -dc set.tar.gz > set.tar
		mkdir archives; ls captures | split -l 5 - part.; for p in part.*; do tar -cf archives/$p.tar -C captures -T $p; done
		pcap-tarls --index archives/* > archives.ndjson`)
	shell(t, "mkdir after")
	for i := range 60 {
		lab.WriteCapture(t, fmt.Sprintf("after/%02d.pcap", i), lab.Packets(2, lab.Start+int64(i)*int64(time.Second), time.Millisecond, 100))
	}
	sixty := lab.ReadPackets(t, bytes.NewReader(shell(t, "pcap-merge --select sixty.ndjson")))
	if len(all) != 4000 || len(sixty) == 0 {
		t.Fatalf("%d packets, %d of sixty files", len(all), len(sixty))
	}
	for _, c := range []struct {
		pipeline string
		want     []stream.Packet
	}{
		{"pcap-merge captures", all},
		{"pcap-merge captures/*", all},
		{"pcap-merge set.tar", all},
		{"pcap-merge set.tar.gz", all},
		{"pcap-merge indexed.tar.gz", all},
		{"pcap-merge archives/*.tar", all},
		{"pcap-merge --select archives.ndjson", all},
		{"pcap-map --jobs 64 archives/*.tar | pcap-merge --select -", all},
		{"pcap-merge --select map.ndjson", all},
		{"pcap-merge --select indexed.ndjson", all},
		{"pcap-merge --select sixty.ndjson", sixty},
		{"pcap-merge --select members.ndjson", sixty},
		{"pcap-tarcat --select members.ndjson | pcap-merge", sixty},
		{"pcap-tarcat indexed.tar.gz | pcap-merge --memory 64KiB", all},
		{"cat captures/* | pcap-merge --memory 0", all},
		{"pcap-map --jobs 8 captures | pcap-merge --select -", all},
		{"pcap-tarcat -C out set.tar.gz . && pcap-merge out", all},
		{"pcap-pace --asap after/* | pcap-map | grep -q '\"packets\":120,' && pcap-merge captures | pcap-pace --asap", all},
		{"pcap-inject -q --asap -w sent.pcap after/* && test $(pcap-map sent.pcap | grep -c '\"packets\":120,') = 1 && pcap-merge captures", all},
	} {
		t.Run(c.pipeline, func(t *testing.T) {
			lab.WantPackets(t, lab.ReadPackets(t, bytes.NewReader(shell(t, "ulimit -n 32; "+c.pipeline))), c.want)
		})
	}
}

// largeSet makes 100 MB of captures: as the folder large, as the stream sections and
// as set.tar and set.tar.gz.
func largeSet(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.Mkdir("large", 0o777); err != nil {
		t.Fatal(err)
	}
	sections, err := os.Create("sections")
	if err != nil {
		t.Fatal(err)
	}
	defer sections.Close()
	data := lab.Pcap(lab.Packets(10000, lab.Start, time.Millisecond, 1000), binary.LittleEndian, true)
	var files []string
	for number := range 10 {
		files = append(files, filepath.Join("large", fmt.Sprintf("%d.pcap", number)))
		_, writeErr := sections.Write(data)
		if err := errors.Join(writeErr, os.WriteFile(files[number], data, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	plain, err := os.Create("set.tar")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	packed, err := os.Create("set.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	compressed, _ := gzip.NewWriterLevel(packed, gzip.BestSpeed)
	if err := errors.Join(lab.WriteTar(plain, "large", files), lab.WriteTar(compressed, "large", files), compressed.Close()); err != nil {
		t.Fatal(err)
	}
}

var peakLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// runAndWatch runs a command and returns the peak of its memory in bytes, as /proc said
// last. The rusage of a child would include the memory of this process.
func runAndWatch(command *exec.Cmd) (peak int64, err error) {
	if err := command.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case err := <-ended:
			return peak, err
		case <-time.After(2 * time.Millisecond):
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", command.Process.Pid))
			if parts := peakLine.FindSubmatch(status); parts != nil {
				kilobytes, _ := strconv.ParseInt(string(parts[1]), 10, 64)
				peak = max(peak, kilobytes<<10)
			}
		}
	}
}

// peakMemory runs a command that says nothing, and returns the peak of its memory in bytes.
func peakMemory(t *testing.T, stdin string, args ...string) int64 {
	t.Helper()
	command := exec.Command(args[0], args[1:]...)
	var messages strings.Builder
	command.Stderr = &messages
	if stdin != "" {
		in, err := os.Open(stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		command.Stdin = in
	}
	peak, err := runAndWatch(command)
	if err != nil || messages.Len() > 0 {
		t.Errorf("%v: %v: %s", args, err, messages.String())
	}
	return peak
}

// Memory does not grow with the input.
func TestMemoryIsBounded(t *testing.T) {
	linkTools(t)
	largeSet(t)
	const bound = 88 << 20 // less than the input
	for _, c := range []struct {
		stdin string
		args  []string
	}{
		{"", []string{"pcap-tarls", "set.tar"}},
		{"", []string{"pcap-tarls", "--index", "set.tar.gz"}},
		{"", []string{"pcap-tarcat", "set.tar.gz"}},
		{"", []string{"pcap-tarcat", "-C", "out", "-z", "lz4", "set.tar.gz", "."}},
		{"", []string{"pcap-map", "large"}},
		{"", []string{"pcap-map", "--svg", "map.svg", "set.tar.gz"}},
		{"", []string{"pcap-merge", "large"}},
		{"", []string{"pcap-merge", "-z", "zstd", "large"}},
		{"", []string{"pcap-merge", "--dedup", "large"}},
		{"", []string{"pcap-merge", "-q", "set.tar.gz"}},
		{"", []string{"pcap-merge", "-q", "--memory", "16MiB", "set.tar"}},
		{"sections", []string{"pcap-merge", "--memory", "16MiB"}},
		{"set.tar.gz", []string{"pcap-tarcat"}},
		{"sections", []string{"pcap-map"}},
		{"sections", []string{"pcap-pace", "--asap"}},
		{"sections", []string{"pcap-inject", "-q", "--asap", "-w", "/dev/null"}},
	} {
		peak := peakMemory(t, c.stdin, c.args...)
		for tries := 0; peak == 0 && tries < 5; tries++ { // it had ended before it was looked at
			peak = peakMemory(t, c.stdin, c.args...)
		}
		t.Logf("%v: %d MiB", c.args, peak>>20)
		if peak == 0 || peak > bound {
			t.Errorf("%v: %d MiB, wanted at most %d", c.args, peak>>20, bound>>20)
		}
	}
}

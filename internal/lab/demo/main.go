//go:build linux

// Demo makes captures, replays them in a network namespace of its own and shows what
// arrived. "make demo" runs it.
//
//	demo FOLDER-OF-TOOLS [FOLDER]
//
// With FOLDER, the captures stay there.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

var set = lab.DemoSet

const (
	replay = `pcap-tarcat set.tar.gz 'worker.*\.pcap' | pcap-merge | pcap-pace | pcap-inject `
	toWire = replay + "-i wire0"
	toFile = replay + "-w replayed.pcap"

	ringSize = 128 << 20
)

func main() {
	if len(os.Args) < 2 || len(os.Args) > 3 {
		fmt.Fprintln(os.Stderr, "usage: demo FOLDER-OF-TOOLS [FOLDER]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

// run runs the demo, in a namespace if the machine allows one. folder is empty or one name.
func run(tools string, folder []string) error {
	tools, err := filepath.Abs(tools)
	if err != nil {
		return err
	}
	if err := os.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		return err
	}
	if lab.Inside() {
		return demonstrate(toWire, folder)
	}
	again := exec.Command("/proc/self/exe", append([]string{tools}, folder...)...)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	lab.Isolate(again)
	err = again.Start()
	if lab.IsForbidden(err) {
		fmt.Printf("This machine allows no network namespace (%v): the packets go into a file instead.\n\n", err)
		return demonstrate(toFile, folder)
	}
	return cmp.Or(err, again.Wait())
}

// demonstrate makes the set, replays it and prints what arrived.
func demonstrate(pipeline string, folder []string) error {
	if len(folder) == 0 {
		temporary, err := os.MkdirTemp("", "pcap-replay-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		folder = []string{temporary}
	}
	if err := errors.Join(os.MkdirAll(folder[0], 0o777), os.Chdir(folder[0])); err != nil {
		return err
	}
	files, err := makeSet(".")
	if err != nil {
		return err
	}
	fmt.Printf("%d captures of %d workers, whose files do not rotate at the same time, in set.tar.gz: %d packets in %v.\n\n  %s\n\n",
		len(files), set.Workers, set.Packets, set.Duration, pipeline)
	received, err := replayed(pipeline)
	if err != nil {
		return err
	}
	return prove(set.Merged(), received)
}

// makeSet writes the files of the workers and set.tar.gz with them.
func makeSet(folder string) (files []string, err error) {
	captures := filepath.Join(folder, "captures")
	if err := os.MkdirAll(captures, 0o777); err != nil {
		return nil, err
	}
	if files, err = set.Write(captures); err != nil {
		return nil, err
	}
	var tarball bytes.Buffer
	compressed := gzip.NewWriter(&tarball)
	if err := errors.Join(lab.WriteTar(compressed, "captures", files), compressed.Close()); err != nil {
		return nil, err
	}
	return files, os.WriteFile("set.tar.gz", tarball.Bytes(), 0o666)
}

// replayed runs the pipeline and returns what arrived at the other end of the wire, or what
// it wrote.
func replayed(pipeline string) ([]stream.Packet, error) {
	if pipeline == toFile {
		if err := shell(pipeline); err != nil {
			return nil, err
		}
		return readBack("replayed.pcap")
	}
	if err := lab.Pair("wire0", "wire1"); err != nil {
		return nil, err
	}
	receiver, err := lab.NewReceiver("wire1", ringSize)
	if err != nil {
		return nil, err
	}
	defer receiver.Close()
	type result struct {
		packets []stream.Packet
		err     error
	}
	arrived := make(chan result, 1)
	go func() {
		packets, err := receiver.Receive(time.Minute, 2*time.Second)
		arrived <- result{packets, err}
	}()
	if err := shell(pipeline); err != nil {
		return nil, err
	}
	r := <-arrived
	if dropped, err := receiver.Dropped(); err != nil || dropped > 0 {
		return nil, fmt.Errorf("the receiver lost %d packets; error: %v", dropped, err)
	}
	return r.packets, r.err
}

func shell(pipeline string) error {
	command := exec.Command("sh", "-c", pipeline)
	command.Stdout, command.Stderr = os.Stdout, os.Stdout
	return command.Run()
}

func readBack(path string) (packets []stream.Packet, err error) {
	r, err := stream.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for packet, err := range r.Packets() {
		if err != nil {
			return nil, err
		}
		kept := *packet
		kept.Data = bytes.Clone(packet.Data)
		packets = append(packets, kept)
	}
	return packets, nil
}

// proof compares what arrived with what was to be sent, and verdict passes if nothing is
// different but the times.
const (
	operands = "--against sent.pcap received.pcap"
	proof    = "pcap-map " + operands
	verdict  = "jq -e '.matched == .reference.packets and .extra + .duplicated + .reordered == 0'"
)

// prove prints what pcap-map finds.
func prove(sent, received []stream.Packet) error {
	for name, packets := range map[string][]stream.Packet{"sent.pcap": sent, "received.pcap": received} {
		if err := os.WriteFile(name, lab.Pcap(packets, binary.LittleEndian, true), 0o666); err != nil {
			return err
		}
	}
	fmt.Printf("\n  %s\n\n", proof)
	if err := shell("pcap-map --chart " + operands); err != nil {
		return err
	}
	output, err := exec.Command("sh", "-c", proof).Output()
	if err != nil {
		return err
	}
	var c record.Comparison
	if err := record.NewDecoder(bytes.NewReader(output)).Decode(&c); err != nil {
		return err
	}
	if c.Matched != c.Reference.Packets || c.Extra+c.Duplicated+c.Reordered != 0 {
		return errors.New("what arrived is not what was sent")
	}
	fmt.Printf(`
Every packet arrived once, unchanged and in order. The gap error is how much longer or
shorter the gap between two packets was than in the captures. In a script, the verdict is:

  %s |
    %s

Now try your own captures:

  pcap-map FOLDER                                      describe your captures
  pcap-merge FOLDER | sudo pcap-inject -i INTERFACE    replay them with their original timing
`, proof, verdict)
	return nil
}

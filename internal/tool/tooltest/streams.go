package tooltest

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool"
)

// Streams checks that a packet comes out though the next one has not come in.
func Streams(t *testing.T, tested *tool.Tool, args ...string) {
	t.Helper()
	capture := lab.Pcap(lab.Packets(20, lab.Start, 0, 100), binary.LittleEndian, true)
	fromTest, in := io.Pipe()
	toTest, out := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- tested.Execute(args, tool.Streams{In: fromTest, Out: out, Err: io.Discard})
		out.Close()
	}()
	stalled := time.AfterFunc(20*time.Second, func() { toTest.CloseWithError(errors.New("stalled")) })
	got := make([]byte, 24+100+16) // headers of the file and of a record
	for len(capture) > 0 {
		size := min(len(got), len(capture))
		if _, err := in.Write(capture[:size]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(toTest, got[:size]); err != nil {
			t.Fatalf("%s %v: with %d bytes to come: %v", tested.Name, args, len(capture)-size, err)
		}
		capture, got = capture[size:], got[:100+16]
	}
	in.Close()
	if _, err := io.Copy(io.Discard, toTest); err != nil {
		t.Fatal(err)
	}
	stalled.Stop()
	if code := <-ended; code != tool.ExitDone {
		t.Errorf("%s %v: exit %d", tested.Name, args, code)
	}
}

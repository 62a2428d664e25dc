package merge

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// Peek and a survey of the capture agree on the first packet.
func TestFirstPacketOfAFile(t *testing.T) {
	whole := lab.Pcap(lab.Packets(5, lab.Start, time.Second, 100), binary.LittleEndian, true)
	damaged := slices.Clone(whole)
	binary.LittleEndian.PutUint32(damaged[32:], 0xffffffff) // captured length of the first record
	captures := NewCaptures(files.NewPool(8, nil), int64(time.Second), 0)
	for name, test := range map[string]struct {
		data  []byte
		first int64
		found bool
		err   error
	}{
		"whole":     {whole, lab.Start, true, nil},
		"damaged":   {damaged, lab.Start + 1e9, true, nil},
		"no packet": {whole[:24], 0, false, nil},
		"empty":     {nil, 0, false, nil},
		"notes":     {[]byte("These are notes, and no capture at all."), 0, false, stream.ErrNotCapture},
	} {
		path := filepath.Join(t.TempDir(), "capture")
		if err := os.WriteFile(path, test.data, 0o666); err != nil {
			t.Fatal(err)
		}
		first, found, err := captures.First(path)
		if first != test.first || found != test.found || !errors.Is(err, test.err) {
			t.Errorf("%s: got %d, %v, %v, wanted %d, %v, %v", name, first, found, err, test.first, test.found, test.err)
		}
	}
	if _, _, err := captures.First(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

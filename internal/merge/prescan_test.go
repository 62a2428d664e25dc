package merge

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// A small window is held in memory, and a prescan measures the disorder of a large one. In
// both cases, the packets are returned in order.
func TestPrescanSeesLargeWindows(t *testing.T) {
	const (
		count     = 40_000
		blockSize = 16 << 10
		memory    = 1 << 30
	)
	random := rand.New(rand.NewPCG(7, 7))
	for name, test := range map[string]struct {
		gap     time.Duration
		memory  int64
		prescan bool
	}{
		"little":       {gap: 10 * time.Millisecond, memory: memory},
		"much":         {gap: 100 * time.Microsecond, memory: memory, prescan: true},
		"all of it":    {gap: time.Microsecond, memory: memory, prescan: true},
		"little, full": {gap: 10 * time.Millisecond, memory: 1, prescan: true},
	} {
		t.Run(name, func(t *testing.T) {
			packets := capture(random, 0, count, lab.Start, int64(test.gap), int64(time.Second))
			path := filepath.Join(t.TempDir(), "capture")
			writeCapture(t, path, packets, stream.Uncompressed)
			file, err := files.NewPool(1, nil).Open(path)
			if err != nil {
				t.Fatal(err)
			}
			ahead := newFileLookahead(file, int64(time.Second), newBlocks(test.memory), blockSize, 64)
			r := newReorderer(ahead, ahead, int64(time.Second), 0)
			slices.SortStableFunc(packets, byTime)
			for want := packets; ; {
				batch, err := r.Next()
				for i := range batch {
					if batch[i].Time != want[i].Time || !bytes.Equal(batch[i].Data, want[i].Data) {
						t.Fatalf("packet %d: got %v, wanted %v", count-len(want)+i, identify(&batch[i]), identify(&want[i]))
					}
				}
				if want = want[len(batch):]; err != nil {
					if len(want) > 0 {
						t.Errorf("%d packets are missing: %v", len(want), err)
					}
					break
				}
			}
			if hasPrescan := ahead.prescan != nil; hasPrescan != test.prescan {
				t.Errorf("has a prescan: %v, wanted %v", hasPrescan, test.prescan)
			}
			r.Close()
		})
	}
}

// A window that is longer than the file does not make the prescan read all of it first.
func TestPrescanHasAReach(t *testing.T) {
	defer func(reach int64) { prescanReach = reach }(prescanReach)
	prescanReach = 256 << 10
	random := rand.New(rand.NewPCG(8, 8))
	const window = int64(time.Hour)
	packets := capture(random, 0, 50_000, lab.Start, int64(time.Millisecond), 0)
	path := filepath.Join(t.TempDir(), "capture")
	writeCapture(t, path, packets, stream.Uncompressed)
	file, err := files.NewPool(1, nil).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	size := file.Info().Size()
	ahead := newFileLookahead(file, window, newBlocks(1<<30), 16<<10, 64)
	r := newReorderer(ahead, ahead, window, 0)
	defer r.Close()
	seen := 0
	for {
		batch, err := r.Next()
		ahead.prescan.mutex.Lock()
		offset := ahead.prescan.offset
		ahead.prescan.mutex.Unlock()
		if seen == 0 && offset > size/2 {
			t.Errorf("%d of %d bytes had been read for the first packet", offset, size)
		}
		if seen += len(batch); err != nil {
			break
		}
	}
	if seen != len(packets) {
		t.Errorf("got %d packets, wanted %d", seen, len(packets))
	}
}

// Packets that are written to a file after a prescan has read it come too late to be sorted,
// and keep their places.
func TestPrescanEndsAFileThatGrows(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	packets := capture(random, 0, 60_000, lab.Start, int64(time.Microsecond), 0)
	path := filepath.Join(t.TempDir(), "capture")
	writeCapture(t, path, packets, stream.Uncompressed)
	file, err := files.NewPool(1, nil).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ahead := newFileLookahead(file, int64(time.Second), newBlocks(1<<30), 16<<10, 64)
	r := newReorderer(ahead, ahead, int64(time.Second), 0)
	defer r.Close()
	batch, err := r.Next() // which has waited until all of the file was seen
	if err != nil {
		t.Fatal(err)
	}
	seen := len(batch)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const fileHeader = 24
	if err := os.WriteFile(path, append(whole, whole[fileHeader:]...), 0o666); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		batch, err = r.Next()
		seen += len(batch)
	}
	if seen != len(packets) || err != io.EOF {
		t.Errorf("%d packets, error %v; wanted %d", seen, err, len(packets))
	}
}

package merge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// folderOf follows all files of a folder.
func folderOf(path string, idle time.Duration) Folder {
	list := func() ([]string, error) { return filepath.Glob(filepath.Join(path, "*")) }
	return Folder{Path: path, List: list, IsOutput: func(string) bool { return false }, Idle: idle}
}

// TestFollowMergesWhatGrows follows a folder while workers write files and rotate them out of
// step. All packets are returned in order.
func TestFollowMergesWhatGrows(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var want [][]stream.Packet
		for worker := range 4 {
			random := rand.New(rand.NewPCG(5, uint64(worker)))
			packets := capture(random, worker, 1500, lab.Start, 1e6, 0)
			want = append(want, packets)
			go writeSlowly(t, folder, worker, packets)
		}
		captures := NewCaptures(files.NewPool(8, nil), 1e9, 8<<20)
		f := NewFollower(captures, folderOf(folder, 5*time.Second), Options{Trouble: strict})
		defer f.Close()
		var got []stream.Packet
		batch := make([]stream.Packet, 100)
		for {
			n, err := f.Read(batch)
			for _, p := range batch[:n] {
				p.Data = bytes.Clone(p.Data)
				got = append(got, p)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if f.Late() != 0 || f.Files() != 4*3 {
			t.Errorf("%d packets late, %d files", f.Late(), f.Files())
		}
		all := slices.Concat(want...)
		if len(got) != len(all) {
			t.Fatalf("%d packets, wanted %d", len(got), len(all))
		}
		if !slices.IsSortedFunc(got, byTime) {
			t.Error("not in order")
		}
		seen := map[packetID]bool{}
		for i := range got {
			seen[identify(&got[i])] = true
		}
		if len(seen) != len(all) {
			t.Errorf("%d different packets", len(seen))
		}
	})
}

// writeSlowly writes packets to three files at their times, byte by byte.
func writeSlowly(t *testing.T, folder string, worker int, packets []stream.Packet) {
	began := time.Now()
	for part := range 3 {
		path := filepath.Join(folder, fmt.Sprintf("%d-%d.pcap", worker, part))
		file, err := os.Create(path)
		if err != nil {
			t.Error(err)
			return
		}
		share := packets[part*len(packets)/3 : (part+1)*len(packets)/3]
		for i := range share {
			time.Sleep(time.Duration(share[i].Time-lab.Start) - time.Since(began))
			record := lab.Pcap(share[i:i+1], binary.LittleEndian, true)
			if i > 0 {
				record = record[24:]
			}
			for len(record) > 0 { // in pieces that end anywhere
				n := min(len(record), 17)
				if _, err := file.Write(record[:n]); err != nil {
					t.Error(err)
				}
				record = record[n:]
			}
		}
		file.Close()
	}
}

// TestFollowEnds ends a Follower by Stop. It returns all that is there, and reports cut
// packets.
func TestFollowEnds(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		whole := lab.Pcap(lab.Packets(10, lab.Start, 1e6, 60), binary.LittleEndian, true)
		path := filepath.Join(folder, "a")
		if err := os.WriteFile(path, whole[:len(whole)-1], 0o666); err != nil {
			t.Fatal(err)
		}
		var said []error
		f := NewFollower(NewCaptures(files.NewPool(8, nil), 1e9, 8<<20), folderOf(folder, 0), Options{
			Trouble: func(_ *Input, err error) error { said = append(said, err); return nil },
		})
		defer f.Close()
		batch := make([]stream.Packet, 100)
		packets := 0
		began := time.Now()
		for {
			n, err := f.Read(batch)
			packets += n
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if time.Since(began) > 3*time.Second {
				if packets != 9 {
					t.Fatalf("%d packets came while the last was not whole, wanted 9", packets)
				}
				f.Stop()
			}
		}
		if packets != 9 || len(said) != 1 {
			t.Errorf("%d packets, said %v", packets, said)
		}
	})
}

package lab

import (
	"os"
	"strings"
	"testing"
	"time"
)

// A set is as the demo describes it: every worker has files, and they do not rotate at the
// same time.
func TestWorkersRotateOutOfStep(t *testing.T) {
	set := WorkerSet{Workers: 8, Packets: 20000, Duration: time.Second, FileSize: 100 << 10, Seed: 1}
	folder := t.TempDir()
	files, err := set.Write(folder)
	if err != nil {
		t.Fatal(err)
	}
	perWorker := map[string]int{}
	for _, name := range files {
		worker, _, _ := strings.Cut(strings.TrimPrefix(name, folder), "-")
		perWorker[worker]++
	}
	if len(perWorker) != set.Workers {
		t.Errorf("files of %d workers, wanted %d", len(perWorker), set.Workers)
	}
	if few, many := perWorker["/worker0"], perWorker["/worker7"]; few == 0 || many <= few {
		t.Errorf("the first worker has %d files and the last %d", few, many)
	}
	again, err := os.ReadFile(files[0])
	if err != nil || len(again) == 0 {
		t.Errorf("%d bytes, %v", len(again), err)
	}
	merged := set.Merged()
	for i := 1; i < len(merged); i++ {
		if merged[i].Time < merged[i-1].Time {
			t.Fatalf("packet %d is before packet %d", i, i-1)
		}
	}
}

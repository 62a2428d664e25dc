package files

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// Who waits for a descriptor and then has no use for it lets the next one have it.
func TestNoFileWaitsForOneThatIsGone(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) { // which fails if one waits for ever
		pool := NewPool(1, nil)
		var opened []*PooledFile
		for _, name := range []string{"read", "gone", "closed", "waits"} {
			path := filepath.Join(folder, name)
			if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
			file, err := pool.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			opened = append(opened, file)
		}
		if err := os.Remove(opened[1].path); err != nil {
			t.Fatal(err)
		}
		opened[2].Close()
		if err := opened[0].acquire(); err != nil {
			t.Fatal(err)
		}
		results := make(chan error)
		for _, file := range opened[1:] {
			go func() {
				_, err := file.ReadAt(make([]byte, 1), 0)
				results <- err
			}()
			synctest.Wait() // they wait in this order
		}
		opened[0].release()
		failed := 0
		for range opened[1:] {
			if err := <-results; err != nil {
				failed++
			}
		}
		if failed != 2 {
			t.Errorf("%d failed, wanted the one that is gone and the one that is closed", failed)
		}
	})
}

package lab

import (
	"os"
	"path/filepath"
	"testing"
)

// Corpus gives the folder of captures that other projects collected, which
// stands beside this project's tree, or skips the test where it is missing.
func Corpus(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(folder, "go.mod")) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
	}
	corpus := filepath.Join(filepath.Dir(folder), "shared", "corpus")
	if !exists(filepath.Join(corpus, "INDEX.tsv")) {
		t.Skip("no ../shared/corpus beside the project")
	}
	return corpus
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

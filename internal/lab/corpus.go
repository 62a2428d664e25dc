package lab

import (
	"os"
	"path/filepath"
	"strings"
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

// CorpusIndex gives the folder of Corpus and the rows of its INDEX.tsv by the
// names of the columns: what a careful parser, which stops at the first defect,
// and capinfos say of each capture.
func CorpusIndex(t testing.TB) (corpus string, rows []map[string]string) {
	t.Helper()
	corpus = Corpus(t)
	index, err := os.ReadFile(filepath.Join(corpus, "INDEX.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(index), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, value := range strings.Split(line, "\t") {
			row[names[i]] = value
		}
		rows = append(rows, row)
	}
	if len(rows) < 1000 {
		t.Fatalf("INDEX.tsv: %d rows, wanted over 1000", len(rows))
	}
	return corpus, rows
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

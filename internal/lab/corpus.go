package lab

import (
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shared returns a folder of ../shared, which is beside the tree of this project. It skips
// the test if the folder does not have the file that is wanted there.
func shared(t testing.TB, name, wanted string) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for !exists(filepath.Join(folder, "go.mod")) && folder != filepath.Dir(folder) {
		folder = filepath.Dir(folder)
	}
	found := filepath.Join(filepath.Dir(folder), "shared", name)
	if !exists(filepath.Join(found, wanted)) {
		t.Skipf("no ../shared/%s beside the project", name)
	}
	return found
}

// Corpus returns the folder of captures of other projects. It skips the test if it is
// missing.
func Corpus(t testing.TB) string {
	t.Helper()
	return shared(t, "corpus", "INDEX.tsv")
}

// Yardstick returns the source of a measure of timing that was made outside the project. It
// skips the test if it is missing.
func Yardstick(t testing.TB) string {
	t.Helper()
	return shared(t, "yardstick", "go.mod")
}

// CorpusIndex returns the folder of Corpus and the rows of its INDEX.tsv by column name.
// They say what capinfos, and a careful parser that stops at the first defect, found in
// each capture.
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

// CorpusCaptures returns all files of the corpus whose names are those of captures, with
// their data.
func CorpusCaptures(t testing.TB) iter.Seq2[string, []byte] {
	t.Helper()
	corpus := Corpus(t)
	return func(yield func(string, []byte) bool) {
		err := filepath.WalkDir(corpus, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || !captureName.MatchString(path) {
				return err
			}
			data, err := os.ReadFile(path)
			if err == nil && !yield(strings.TrimPrefix(path, corpus), data) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

var captureName = regexp.MustCompile(`(?i)\.(pcap|pcapng|cap|dmp)\d*(\.(gz|lz4|zst|xz|bz2))?$`)

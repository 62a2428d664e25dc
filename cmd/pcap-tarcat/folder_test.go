package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pcap-replay/internal/tool/tooltest"
)

// extractFile makes a file for a member and writes the member's name into it.
func extractFile(t *testing.T, f *folder, member string) (name string) {
	t.Helper()
	file, err := f.create(member)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(member); err != nil {
		t.Fatal(err)
	}
	if err := file.commit(time.Now()); err != nil {
		t.Fatal(err)
	}
	return file.name
}

// Names that differ in upper and lower case only may be one to the file system. A hard
// link stands for that here.
func TestFolderKeepsFilesWhoseCaseDiffers(t *testing.T) {
	directory := t.TempDir()
	f, err := openFolder(directory)
	if err != nil {
		t.Fatal(err)
	}
	extractFile(t, f, "a.pcap")
	if err := os.Link(filepath.Join(directory, "a.pcap"), filepath.Join(directory, "A.pcap")); err != nil {
		t.Skip("hard links are not possible here: ", err)
	}
	if name := extractFile(t, f, "A.pcap"); name != "A.2.pcap" {
		t.Errorf("extracted as %q, wanted A.2.pcap", name)
	}
	if data, err := os.ReadFile(filepath.Join(directory, "a.pcap")); err != nil || string(data) != "a.pcap" {
		t.Errorf("a.pcap holds %q, error %v", data, err)
	}
	// What an earlier run left is replaced, whatever its case.
	os.WriteFile(filepath.Join(directory, "B.pcap"), nil, 0o666)
	extractFile(t, f, "b.pcap")
	if name := extractFile(t, f, "B.pcap"); name != "B.pcap" {
		t.Errorf("extracted as %q, wanted B.pcap", name)
	}
}

// Names that lead nowhere in the folder are refused.
func TestFolderRefusesNames(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "/", "//", "a/..", "..", "../a", "a/../../b", "/..", "a\x00b"} {
		if file, err := f.create(name); err == nil {
			t.Errorf("%q: created %q", name, file.name)
		}
	}
	for member, wanted := range map[string]string{"/a": "a", "./b": "b", "c//d": "c/d", "c/../e": "e"} {
		if name := extractFile(t, f, member); name != wanted {
			t.Errorf("%q: extracted as %q, wanted %q", member, name, wanted)
		}
	}
}

// The number for a name that is used already is found without trying all others.
func TestExtractManyOfOneName(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const members = 200_000
	begin := time.Now()
	for i := range members {
		name := f.unused("a.pcap")
		if wanted := fmt.Sprintf("a.%d.pcap", i+1); i > 0 && name != wanted {
			t.Fatalf("member %d: %q, wanted %q", i+1, name, wanted)
		}
		f.markMade(name)
	}
	if took := time.Since(begin); took > 10*time.Second { // trying all takes an hour
		t.Errorf("%d names took %v", members, took)
	}
}

// Names with a number may themselves be those of members.
func TestExtractNumberedNames(t *testing.T) {
	var tarball bytes.Buffer
	w := tar.NewWriter(&tarball)
	names := []string{"a", "a", "a.2", "a.3", "a", "a.2", "a"}
	for i, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: 1, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, i)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if code, _, messages := tooltest.Run(tarcat(), tarball.Bytes(), "-C", "out", "-", "."); code != 0 {
		t.Fatalf("exit code %d: %s", code, messages)
	}
	got := map[string]bool{}
	entries, err := os.ReadDir("out")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		data, err := os.ReadFile(filepath.Join("out", entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[string(data)] = true
	}
	if len(got) != len(names) {
		t.Errorf("%d contents in %d files, wanted %d", len(got), len(entries), len(names))
	}
}

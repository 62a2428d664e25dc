package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, merger().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, merger()) }

func TestFaults(t *testing.T) {
	first, second := tooltest.Sections()
	sections := slices.Concat(first, second)
	path := filepath.Join(t.TempDir(), "set.tar")
	if err := os.WriteFile(path, lab.Tar(t, map[string][]byte{"first.pcap": first, "second.pcap": second}), 0o666); err != nil {
		t.Fatal(err)
	}
	records, err := exec.Command("pcap-map", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, pcapng, _ := tooltest.Run(merger(), sections, "--pcapng")
	cases := []tooltest.Case{
		{Args: []string{"--memory", "64KiB", "-z", "lz4"}, In: sections}, {Args: []string{"--pcapng", "-z", "zstd"}, In: sections},
		{Args: []string{"--select", "-"}, In: records}, {In: sections}, {In: []byte(pcapng)},
	}
	cases = append(cases, tooltest.Compressed(t, nil, sections)...)
	tooltest.Faults(t, merger(), "-o", true, cases)
}

package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool"
	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, tarcat().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, tarcat()) }

func TestFaults(t *testing.T) {
	first, second := tooltest.Sections()
	set := lab.Tar(t, map[string][]byte{"first.pcap": first, "second.pcap": second})
	path := filepath.Join(t.TempDir(), "set.tar")
	if err := os.WriteFile(path, set, 0o666); err != nil {
		t.Fatal(err)
	}
	members, err := exec.Command("pcap-tarls", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	cases := []tooltest.Case{
		{Args: []string{"-"}, In: set}, {Args: []string{"--raw", "-"}, In: set}, {Args: []string{"--list", "-"}, In: set},
		{Args: []string{"-z", "gzip", "-"}, In: set}, {Args: []string{"--select", "-"}, In: members},
	}
	cases = append(cases, tooltest.Compressed(t, []string{"-"}, set)...)
	tooltest.Faults(t, tarcat(), "-o", true, cases)
}

func TestListingExtractsNothing(t *testing.T) {
	one := lab.Pcap(lab.Packets(10, lab.Start, 0, 100), binary.LittleEndian, true)
	tarball := lab.Tar(t, map[string][]byte{"a/set.pcap": one, "b/set.pcap": one})
	folder := t.TempDir()
	code, out, messages := tooltest.Run(tarcat(), tarball, "--list", "-C", folder, "-", "set")
	if code == tool.ExitDone && strings.Count(out, "\n") != 2 {
		t.Errorf("exit %d, %q, %q", code, out, messages)
	}
	if left, _ := os.ReadDir(folder); len(left) > 0 {
		t.Errorf("%s was extracted", left[0].Name())
	}
}

func TestMembersOfOneNameStayApart(t *testing.T) {
	one := lab.Pcap(lab.Packets(10, lab.Start, 0, 100), binary.LittleEndian, true)
	tarball := lab.Tar(t, map[string][]byte{"a/set.pcap": one, "b/set.pcap": one, "b/set.pcap again": one})
	folder := t.TempDir()
	if code, _, messages := tooltest.Run(tarcat(), tarball, "-C", folder, "-", "set"); code != tool.ExitDone {
		t.Fatalf("exit %d, %q", code, messages)
	}
	found := 0
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			found++
		}
		return err
	})
	if err != nil || found != 3 {
		t.Errorf("%d files, %v", found, err)
	}
}

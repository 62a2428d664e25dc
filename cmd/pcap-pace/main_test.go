package main

import (
	"encoding/binary"
	"slices"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, pace().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, pace()) }

func TestFaults(t *testing.T) {
	sections := slices.Concat(
		lab.Pcap(lab.Packets(300, lab.Start, 1e6, 1000), binary.LittleEndian, true),
		lab.Pcap(lab.Packets(300, lab.Start+500000, 1e6, 1000), binary.BigEndian, false))
	cases := []tooltest.Case{{Args: []string{"--asap", "-z", "gzip"}, In: sections}, {Args: []string{"--asap"}, In: sections}}
	for _, in := range lab.Compressions(t, sections) {
		cases = append(cases, tooltest.Case{Args: []string{"--asap"}, In: in})
	}
	tooltest.Faults(t, pace(), "-o", true, cases)
}

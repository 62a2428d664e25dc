package main

import (
	"encoding/binary"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, tarls().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, tarls()) }

func TestFaults(t *testing.T) {
	set := lab.Tar(t, map[string][]byte{
		"first.pcap": lab.Pcap(lab.Packets(300, lab.Start, 1e6, 1000), binary.LittleEndian, true), "second.pcap": lab.Pcap(lab.Packets(300, lab.Start+500000, 1e6, 1000), binary.BigEndian, false),
	})
	cases := []tooltest.Case{{Args: []string{"-"}, In: set}, {Args: []string{"-0", "-"}, In: set}}
	for _, in := range lab.Compressions(t, set) {
		cases = append(cases, tooltest.Case{Args: []string{"-"}, In: in})
	}
	tooltest.Faults(t, tarls(), "-o", true, cases)
}

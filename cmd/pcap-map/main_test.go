package main

import (
	"encoding/binary"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, mapper().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, mapper()) }

func TestFaults(t *testing.T) {
	first := lab.Pcap(lab.Packets(300, lab.Start, 1e6, 1000), binary.LittleEndian, true)
	second := lab.Pcap(lab.Packets(300, lab.Start+500000, 1e6, 1000), binary.BigEndian, false)
	sections := append(first, second...)
	set := lab.Tar(t, map[string][]byte{"first.pcap": first, "second.pcap": second})
	_, records, _ := tooltest.Run(mapper(), set)
	cases := []tooltest.Case{
		{In: sections}, {In: set}, {Args: []string{"--chart"}, In: sections}, {Args: []string{"--chart", "--from-records", "-"}, In: []byte(records)},
	}
	for _, in := range lab.Compressions(t, sections) {
		cases = append(cases, tooltest.Case{In: in})
	}
	tooltest.Faults(t, mapper(), "-o", true, cases)
}

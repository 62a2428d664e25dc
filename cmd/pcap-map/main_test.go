package main

import (
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, mapper().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, mapper()) }

func TestFaults(t *testing.T) {
	first, second := tooltest.Sections()
	sections := append(first, second...)
	set := lab.Tar(t, map[string][]byte{"first.pcap": first, "second.pcap": second})
	_, records, _ := tooltest.Run(mapper(), set)
	cases := []tooltest.Case{
		{In: sections}, {In: set}, {Args: []string{"--chart"}, In: sections}, {Args: []string{"--chart", "--from-records", "-"}, In: []byte(records)},
	}
	cases = append(cases, tooltest.Compressed(t, nil, sections)...)
	tooltest.Faults(t, mapper(), "-o", true, cases)
}

package main

import (
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, tarls().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, tarls()) }

func TestFaults(t *testing.T) {
	first, second := tooltest.Sections()
	set := lab.Tar(t, map[string][]byte{"first.pcap": first, "second.pcap": second})
	cases := []tooltest.Case{{Args: []string{"-"}, In: set}, {Args: []string{"-0", "-"}, In: set}}
	cases = append(cases, tooltest.Compressed(t, []string{"-"}, set)...)
	tooltest.Faults(t, tarls(), "-o", true, cases)
}

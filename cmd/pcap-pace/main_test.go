package main

import (
	"slices"
	"testing"

	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, pace().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, pace()) }

func TestFaults(t *testing.T) {
	first, second := tooltest.Sections()
	sections := slices.Concat(first, second)
	cases := []tooltest.Case{{Args: []string{"--asap", "-z", "gzip"}, In: sections}, {Args: []string{"--asap"}, In: sections}}
	cases = append(cases, tooltest.Compressed(t, []string{"--asap"}, sections)...)
	tooltest.Faults(t, pace(), "-o", true, cases)
}

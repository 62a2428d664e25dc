package main

import (
	"slices"
	"testing"

	"pcap-replay/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, injector().Name, main) }

func TestScripts(t *testing.T) { tooltest.Scripts(t) }

func TestManners(t *testing.T) { tooltest.Manners(t, injector()) }

func TestFaults(t *testing.T) {
	first, second := tooltest.Sections()
	sections := slices.Concat(first, second)
	args := []string{"--asap", "-w", "-"}
	cases := []tooltest.Case{{Args: args, In: sections}}
	cases = append(cases, tooltest.Compressed(t, args, sections)...)
	tooltest.Faults(t, injector(), "-w", false, cases)
}

// Bench does for scripts/bench what shell would do clumsily: it makes inputs,
// digests outputs, runs contenders against each other and measures what they send.
// Each command tells its flags with -help.
package main

import (
	"fmt"
	"os"

	"pcap-replay/internal/lab"
)

var commands = map[string]func(arguments []string) error{
	"set":     makeSet,
	"frames":  makeFrames,
	"digest":  digest,
	"machine": describeMachine,
	"pair":    makePair,
	"race":    race,
	"speed":   speed,
	"gaps":    gaps,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench set | frames | digest | machine | pair | race | speed | gaps [ARGUMENT ...]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// makePair makes a veth pair in the namespace of this process, with the two names
// given.
func makePair(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("wanted 2 names, got %d", len(arguments))
	}
	return lab.Pair(arguments[0], arguments[1])
}

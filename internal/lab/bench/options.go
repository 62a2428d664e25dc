//go:build linux

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const helpText = `usage: scripts/bench [FLAG ...] [map] [merge] [pipe] [archive] [send] [timing]

Compares the tools with other programs that do the same. Without names, it measures everything.
pipe, send and timing run in a network namespace of their own. The figures of timing are valid
only on a quiet machine.

`

// options are what is asked for.
type options struct {
	size      int64
	runs      int
	ndjson    string
	keep      string
	bin       string
	tcpreplay string
	setup     bool
	subjects  []subject
}

func parseOptions(arguments []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), helpText)
		flags.PrintDefaults()
	}
	o.size = 2 << 30
	flags.Func("size", "`SIZE` of the large inputs, such as 64M (default 2G)", func(text string) (err error) {
		o.size, err = parseSize(text)
		return err
	})
	flags.IntVar(&o.runs, "runs", 5, "`number` of runs of each contender, in turn with the others")
	from := flags.String("from", ".", "`DIR` where relative paths begin")
	flags.StringVar(&o.ndjson, "ndjson", "", "append machine, results and claims to `FILE`")
	flags.StringVar(&o.keep, "keep", "", "make the inputs in `DIR`, use what is there, and leave it there")
	flags.StringVar(&o.bin, "bin", "", "measure the tools in `DIR` instead of building them")
	flags.StringVar(&o.tcpreplay, "tcpreplay", "", "measure the tcpreplay at `PATH` beside the installed one")
	flags.BoolVar(&o.setup, "setup", false, "install the peers with apt, and do nothing else")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if o.runs < 1 {
		return o, fmt.Errorf("-runs %d: wanted at least 1", o.runs)
	}
	for _, path := range []*string{&o.ndjson, &o.keep, &o.bin, &o.tcpreplay} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(*from, *path)
		}
		if *path != "" {
			if *path, err = filepath.Abs(*path); err != nil {
				return o, err
			}
		}
	}
	if o.tcpreplay != "" {
		if _, err := exec.LookPath(o.tcpreplay); err != nil {
			return o, err
		}
	}
	for _, name := range flags.Args() {
		at := slices.IndexFunc(subjects, func(s subject) bool { return s.name == name })
		if at < 0 {
			return o, fmt.Errorf("%q: wanted map, merge, pipe, archive, send or timing", name)
		}
		o.subjects = append(o.subjects, subjects[at])
	}
	if len(o.subjects) == 0 {
		o.subjects = slices.Clone(subjects)
	}
	return o, nil
}

const units = "KMGT"

// parseSize reads bytes with a binary unit.
func parseSize(text string) (int64, error) {
	digits, shift := strings.TrimRight(text, units), 0
	if unit := text[len(digits):]; len(unit) == 1 {
		shift = 10 * (1 + strings.Index(units, unit))
	} else if unit != "" {
		digits = text // which is no number
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number < 1 || number > (1<<62)>>shift {
		return 0, fmt.Errorf("wanted a size such as 64M or 2G")
	}
	return number << shift, nil
}

func formatSize(size int64) string {
	unit := 0
	value := float64(size)
	for value >= 1024 && unit < len(units) {
		value, unit = value/1024, unit+1
	}
	return strconv.FormatFloat(value, 'g', 3, 64) + []string{"B", "KiB", "MiB", "GiB", "TiB"}[unit]
}

// packages have the peers.
var packages = []string{"wireshark-common", "tcpslice", "tcpreplay", "jq", "tar", "gzip", "pigz", "lz4", "openssh-client", "openssh-server"}

func install() error {
	for _, arguments := range [][]string{{"update", "-q"}, append([]string{"install", "-y", "-q"}, packages...)} {
		command := exec.Command("apt-get", arguments...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		command.Stdout, command.Stderr = os.Stdout, os.Stderr
		if err := command.Run(); err != nil {
			return err
		}
	}
	return nil
}

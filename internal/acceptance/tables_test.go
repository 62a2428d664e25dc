package acceptance

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
)

// leftOutFlags are the flags of other programs that the tables of pcap-replay(7) leave out:
// those for debugging and help, and those that few people use.
var leftOutFlags = map[string][]string{
	"tcpreplay": {"dbug", "decode", "no-flow-stats", "flow-expiry", "pid", "version", "less-help", "help", "more-help", "save-opts", "load-opts"},
	"tcprewrite": {
		"dbug", "verbose", "decode", "version", "less-help", "help", "more-help", "save-opts", "load-opts", "tclass", "flowlabel", "fuzz-factor",
		"enet-mac-seed", "enet-mac-seed-keep-bytes", "enet-vlan-cfi", "enet-vlan-pri", "enet-vlan-proto", "hdlc-control", "hdlc-address",
		"user-dlt", "user-dlink", "fragdir", "skip-soft-errors",
	},
	"tcpprep": {
		"dbug", "verbose", "decode", "version", "less-help", "help", "more-help", "save-opts", "load-opts", "comment", "no-arg-comment",
		"print-comment", "print-info", "print-stats", "services", "ratio", "minmask", "maxmask",
	},
}

// tableRow is a row of a table: flags of another program, and what does the same here.
type tableRow struct{ flags, here []string }

// flagTables returns the tables of pcap-replay(7) by program.
func flagTables(t *testing.T) map[string][]tableRow {
	t.Helper()
	page, err := os.ReadFile("../../man/pcap-replay.7")
	if err != nil {
		t.Fatal(err)
	}
	tables, program := map[string][]tableRow{}, ""
	for line := range strings.Lines(string(page)) {
		if title, ok := strings.CutPrefix(line, ".Ss Flags of "); ok {
			program = strings.TrimSpace(title)
		} else if strings.HasPrefix(line, ".S") {
			program = ""
		}
		flags, here, isRow := strings.Cut(strings.TrimPrefix(line, ".It "), " Ta ")
		if program != "" && isRow {
			tables[program] = append(tables[program], tableRow{flagWords(flags), flagWords(here)})
		}
	}
	return tables
}

// flagWords returns the words of a row. A flag has its dashes.
func flagWords(text string) []string {
	return strings.Fields(strings.NewReplacer("Fl Fl ", "--", "Fl ", "-").Replace(text))
}

// otherTables are the long flags in the tables of pcap-replay(7) and of README.md.
func otherTables(t *testing.T) (flags []string) {
	t.Helper()
	for _, rows := range flagTables(t) {
		for _, row := range rows {
			flags = append(flags, row.flags[0])
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| GopherCap | here |")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			flags = append(flags, regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(cells[1], -1)...)
		} else if strings.HasPrefix(line, "#") {
			break
		}
	}
	return flags
}

// A flag of tcpreplay, tcprewrite, tcpprep or GopherCap that the tables name, and a flag of
// another tool of this project, gets a hint that says what does the same.
func TestUnknownFlagsHaveHints(t *testing.T) {
	foreign := otherTables(t)
	if len(foreign) < 80 {
		t.Fatalf("only %d flags in the tables", len(foreign))
	}
	for _, tool := range lab.Tools {
		own := []string{"--help", "--version"}
		for _, flag := range completedFlags(t, tool) {
			own = append(own, flag.names()...)
		}
		for _, other := range lab.Tools {
			for _, flag := range completedFlags(t, other) {
				foreign = append(foreign, flag.long)
			}
		}
		slices.Sort(foreign)
		for _, flag := range slices.Compact(foreign) {
			if flag == "" || slices.Contains(own, flag) {
				continue
			}
			code, _, messages := run(tool, nil, flag)
			if code != exitUsage || !strings.Contains(messages, "hint: ") || strings.Contains(messages, "--help lists the flags") {
				t.Errorf("%s %s: exit %d, %q", tool, flag, code, messages)
			}
		}
	}
}

// otherFlag matches a flag in the help of tcpreplay, with its short name.
var otherFlag = regexp.MustCompile(`(?m)^ +(?:(-\S), )?--([a-z0-9-]+)`)

// The tables name the flags that tcpreplay, tcprewrite and tcpprep have, and what they name
// here exists.
func TestTablesOfFlags(t *testing.T) {
	tables := flagTables(t)
	for program, leftOut := range leftOutFlags {
		t.Run(program, func(t *testing.T) {
			lab.NeedProgram(t, program)
			help, _ := exec.Command(program, "--help").CombinedOutput() // its exit code is 0 or 1
			short := map[string]string{}
			for _, found := range otherFlag.FindAllStringSubmatch(string(help), -1) {
				short[found[2]] = found[1]
			}
			if len(short) < 20 {
				t.Fatalf("only %d flags in the help:\n%s", len(short), help)
			}
			for _, row := range tables[program] {
				checkRow(t, row, short)
			}
			for flag := range short {
				if !slices.Contains(leftOut, flag) {
					t.Errorf("the table does not have --%s", flag)
				}
			}
		})
	}
}

// checkRow checks a row and removes its flag from those that are left.
func checkRow(t *testing.T, row tableRow, short map[string]string) {
	t.Helper()
	long := strings.TrimPrefix(row.flags[0], "--")
	want := []string{"--" + long}
	if short[long] != "" {
		want = append(want, ",", short[long])
	}
	if _, exists := short[long]; !exists || !slices.Equal(row.flags, want) {
		t.Errorf("the table has %q, wanted %q", row.flags, want)
	}
	delete(short, long)
	tool := ""
	for _, word := range row.here {
		switch {
		case slices.Contains(lab.Tools, word):
			tool = word
		case strings.HasPrefix(word, "-") && tool == "":
			t.Errorf("%s: %s is a flag of no tool", long, word)
		case strings.HasPrefix(word, "-"):
			if !slices.ContainsFunc(completedFlags(t, tool), func(f completedFlag) bool { return slices.Contains(f.names(), word) }) {
				t.Errorf("%s: %s has no flag %s", long, tool, word)
			}
		}
	}
	if tool == "" && !slices.Contains(row.here, "none") && !slices.Contains(row.here, "not") {
		t.Errorf("%s: %q says nothing", long, row.here)
	}
}

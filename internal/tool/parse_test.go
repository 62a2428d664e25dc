package tool

import (
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestFlagsAreParsed(t *testing.T) {
	tested := &Tool{Name: "test", Flags: []cli.Flag{
		OutputFlag(),
		NewListFlag("match", "", "m"),
		&cli.Int64Flag{Name: "loop", Value: 1},
		&cli.BoolFlag{Name: "null", Aliases: []string{"0"}},
		WordFlag("dedup", "", []string{"bytes", "ip"}),
	}}
	for _, c := range []struct {
		args     []string
		err      string
		output   string
		match    []string
		loop     int64
		null     bool
		operands []string
	}{
		{args: nil, loop: 1},
		{args: []string{"-o", "a", "b"}, output: "a", loop: 1, operands: []string{"b"}},
		{args: []string{"--output=a", "--", "-b"}, output: "a", loop: 1, operands: []string{"-b"}},
		{args: []string{"-0q", "--match", "a,b", "--match", "c", "--loop", "3"}, match: []string{"a,b", "c"}, loop: 3, null: true},
		{args: []string{"--match", "a", "-q0v", "--match", "b"}, match: []string{"a", "b"}, loop: 1, null: true},
		{args: []string{"-ma", "--match", "b", "-0m", "c d"}, match: []string{"a", "b", "c d"}, loop: 1, null: true},
		{args: []string{"b", "-oa", "--loop", "2", "c"}, output: "a", loop: 2, operands: []string{"b", "c"}},
		{args: []string{"-0qoa", "-", "-output", "a", "--", "-o"}, err: "--output and -o are the same flag: wanted one of them"},
		{args: []string{"-0qo", "a", "-", "-loop=2", "--", "-o"}, output: "a", loop: 2, null: true, operands: []string{"-", "-o"}},
		{args: []string{"-o=a", "--match", "--loop"}, output: "a", match: []string{"--loop"}, loop: 1},
		{args: []string{"--loop", "2", "times", "b"}, err: `"times" after --loop 2 is not a file`},
		{args: []string{"--loop", "2", "times"}, loop: 2, operands: []string{"times"}},
		{args: []string{"--loop=2", "times", "b"}, loop: 2, operands: []string{"times", "b"}},
		{args: []string{"b", "tcp", "port", "80"}, err: `"tcp port 80" is not a file`},
		{args: []string{"b", "(udp or icmp)"}, err: `"(udp or icmp)" is not a file`},
		{args: []string{"--", "icmp6"}, err: `"icmp6" is not a file`},
		{args: []string{"tcp.pcap", "tcp-1", "nothing.pcap", "host"}, loop: 1, operands: []string{"tcp.pcap", "tcp-1", "nothing.pcap", "host"}},
		{args: []string{"tcp/"}, loop: 1, operands: []string{"tcp/"}},
		{args: []string{"-0x"}, err: `unknown flag "-0x"`},
		{args: []string{"--nope"}, err: `unknown flag "--nope"`},
		{args: []string{"--loop", "many"}, err: `--loop "many": wanted a whole number`},
		{args: []string{"--null=perhaps"}, err: `--null takes no value, but got "perhaps"`},
		{args: []string{"-0", "-0", "--quiet", "--quiet"}, loop: 1, null: true},
		{args: []string{"--loop", "2", "a", "--loop=2"}, err: `--loop has two values, "2" and "2": wanted one`},
		{args: []string{"-qo", "a", "-0o=b"}, err: `-o has two values, "a" and "=b": wanted one`},
		{args: []string{"-qo", "a=b", "-0oc"}, err: `-o has two values, "a=b" and "c": wanted one`},
		{args: []string{"-ofirst", "-o", "--loop"}, err: `-o has two values, "first" and "--loop": wanted one`},
		{args: []string{"--dedup", "--dedup=ip"}, loop: 1},
		{args: []string{"--dedup=bytes", "--dedup=ip"}, err: `--dedup has two values, "bytes" and "ip": wanted one`},
		{args: []string{"-o"}, err: `flag "-o" needs a value`},
		{args: []string{"-o", "a", "--output", "b"}, err: "--output and -o are the same flag: wanted one of them"},
	} {
		flags, err := tested.parse(c.args)
		if err != nil || c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: %v, wanted %s", c.args, err, c.err)
			}
			continue
		}
		if flags.String("output") != c.output || flags.String("o") != c.output || flags.Int64("loop") != c.loop || flags.Bool("null") != c.null ||
			flags.Bool("0") != c.null || flags.IsSet("match") != (c.match != nil) || !slices.Equal(flags.Strings("match"), c.match) || !slices.Equal(flags.Operands(), c.operands) {
			t.Errorf("%q: %q, %q, %d, %v, %q", c.args, flags.String("output"), flags.Strings("match"), flags.Int64("loop"), flags.Bool("null"), flags.Operands())
		}
	}
}

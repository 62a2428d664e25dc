package filter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"pcap-replay/internal/plural"
)

const (
	maxInstructions = 4096 // the kernel's BPF_MAXINSNS
	bytecodeWords   = 16   // of memory: its BPF_MEMWORDS
)

// opcodes are the codes of classic BPF: bpf(4).
var opcodes = map[uint64]opcode{
	0x00: ldK, 0x20: ldW, 0x28: ldH, 0x30: ldB, 0x40: ldIndexW, 0x48: ldIndexH, 0x50: ldIndexB, 0x60: ldMemory, 0x80: ldLength,
	0x01: ldxK, 0x61: ldxMemory, 0x81: ldxLength, 0xb1: ldxHeader,
	0x02: st, 0x03: stx,
	0x04: addK, 0x14: subK, 0x24: mulK, 0x34: divK, 0x44: orK, 0x54: andK, 0x64: lshK, 0x74: rshK, 0x94: modK, 0xa4: xorK,
	0x0c: addX, 0x1c: subX, 0x2c: mulX, 0x3c: divX, 0x4c: orX, 0x5c: andX, 0x6c: lshX, 0x7c: rshX, 0x9c: modX, 0xac: xorX,
	0x84: neg,
	0x05: ja, 0x15: jeqK, 0x25: jgtK, 0x35: jgeK, 0x45: jsetK, 0x1d: jeqX, 0x2d: jgtX, 0x3d: jgeX, 0x4d: jsetX,
	0x06: retK, 0x16: retA,
	0x07: tax, 0x87: txa,
}

// ParseBytecode parses the output of tcpdump -ddd: the number of instructions, and then
// code, jt, jf and k of each instruction on a line of its own, in decimal. It accepts the
// programs that the kernel accepts (sk_chk_filter), except those that use more than the
// packet.
func ParseBytecode(r io.Reader) (*Program, error) {
	lines := bufio.NewScanner(r)
	count, err := readCount(lines)
	if err != nil {
		return nil, err
	}
	code := make([]instruction, 0, count)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		i, err := readInstruction(lines.Text(), uint64(len(code)), count)
		if err != nil {
			return nil, fmt.Errorf("instruction %d: %w", len(code), err)
		}
		code = append(code, i)
	}
	switch {
	case lines.Err() != nil:
		return nil, lines.Err()
	case uint64(len(code)) != count:
		return nil, fmt.Errorf("%s, wanted %d", plural.Of(len(code), "instruction"), count)
	case code[count-1].do != retK && code[count-1].do != retA:
		return nil, fmt.Errorf("instruction %d: is the last one, but does not return", count-1)
	}
	if err := checkMemory(code); err != nil {
		return nil, err
	}
	return &Program{code: fuse(code)}, nil
}

func readCount(lines *bufio.Scanner) (uint64, error) {
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		count, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("%q: wanted the number of instructions", text)
		}
		if count == 0 || count > maxInstructions {
			return 0, fmt.Errorf("%d instructions, wanted 1 to %d", count, maxInstructions)
		}
		return count, nil
	}
	if lines.Err() != nil {
		return 0, lines.Err()
	}
	return 0, errors.New("is empty")
}

// readInstruction parses and checks the instruction with this index of count.
func readInstruction(line string, at, count uint64) (instruction, error) {
	words := strings.Fields(line)
	if len(words) != 4 {
		return instruction{}, fmt.Errorf("%q: wanted code, jt, jf and k", line)
	}
	var number [4]uint64
	for n, bits := range []int{16, 8, 8, 32} {
		var err error
		if number[n], err = strconv.ParseUint(words[n], 10, bits); err != nil {
			return instruction{}, fmt.Errorf("%q: wanted a number of %d bits", words[n], bits)
		}
	}
	do, known := opcodes[number[0]]
	if !known {
		return instruction{}, fmt.Errorf("code %#x is unknown", number[0])
	}
	i := instruction{do: do, k: uint32(number[3])}
	const kernelOffsets = 0xffe00000 // SKF_LL_OFF, and after it SKF_NET_OFF and SKF_AD_OFF
	switch {
	case (do == divK || do == modK) && i.k == 0:
		return i, errors.New("divides by zero")
	case (do == lshK || do == rshK) && i.k > 31:
		return i, fmt.Errorf("shifts by %d bits, but at most 31 are possible", i.k)
	case (do == ldMemory || do == ldxMemory || do == st || do == stx) && i.k >= bytecodeWords:
		return i, fmt.Errorf("word %d of memory: there are %d", i.k, bytecodeWords)
	case do >= ldB && do <= ldW && i.k >= kernelOffsets:
		return i, errors.New("uses data that only the capturing kernel has; compile with tcpdump -r FILE -ddd")
	case do == ja && uint64(i.k) >= count-at-1:
		return i, fmt.Errorf("jumps backward or past the end, by %d", int32(i.k))
	case do >= jeqK && do <= jsetX && max(number[1], number[2]) >= count-at-1:
		return i, fmt.Errorf("jumps past the end, by %d or %d", number[1], number[2])
	}
	i.yes, i.no = uint32(at+1+number[1]), uint32(at+1+number[2])
	if do == ja {
		i.yes = uint32(at+1) + i.k
	}
	return i, nil
}

// checkMemory refuses a program that loads a word of memory which it has not stored on
// every path.
func checkMemory(code []instruction) error {
	stored := make([]uint32, len(code)) // one bit per word that is stored on all paths
	for n := range stored {
		stored[n] = 0xffffffff
	}
	stored[0] = 0
	for n, i := range code {
		after := stored[n]
		switch i.do {
		case st, stx:
			after |= 1 << i.k
		case ldMemory, ldxMemory:
			if after&(1<<i.k) == 0 {
				return fmt.Errorf("instruction %d: loads word %d of memory, which may not have been stored", n, i.k)
			}
		case retK, retA:
			continue
		case ja:
			stored[i.yes] &= after
			continue
		case jeqK, jgtK, jgeK, jsetK, jeqX, jgtX, jgeX, jsetX:
			stored[i.yes] &= after
			stored[i.no] &= after
			continue
		}
		stored[n+1] &= after
	}
	return nil
}

package filter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// libpcap compiles expressions and is the oracle of these tests. Its programs, as tcpdump
// -ddd prints them, run on the reference machine below, which shares no code with the one
// under test.
type libpcap struct {
	folder string // of an empty capture for each link type
}

// newLibpcap skips the test if tcpdump is missing.
func newLibpcap(t testing.TB) *libpcap {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("no tcpdump")
	}
	return &libpcap{folder: t.TempDir()}
}

var errRejectsAll = errors.New("expression rejects all packets")

// compile returns the program that tcpdump -r runs for a link type.
func (l *libpcap) compile(expression string, link stream.LinkType, flags ...string) (*referenceProgram, error) {
	text, err := l.output(expression, link, flags...)
	if err != nil {
		return nil, err
	}
	return parseReference(text)
}

// output is what tcpdump -ddd prints.
func (l *libpcap) output(expression string, link stream.LinkType, flags ...string) ([]byte, error) {
	empty := filepath.Join(l.folder, fmt.Sprintf("%d.pcap", link))
	if _, err := os.Stat(empty); err != nil {
		header := lab.Pcap([]stream.Packet{{LinkType: link}}, binary.LittleEndian, false)[:24]
		part := fmt.Sprintf("%s.%08x", empty, rand.Uint32()) // other tests may do the same now
		if err := errors.Join(os.WriteFile(part, header, 0o666), os.Rename(part, empty)); err != nil {
			return nil, err
		}
	}
	var messages bytes.Buffer
	command := exec.Command("tcpdump", append(flags, "-r", empty, "-ddd", "--", expression)...)
	command.Stderr = &messages
	out, err := command.Output()
	if err != nil {
		if strings.Contains(messages.String(), errRejectsAll.Error()) {
			return nil, errRejectsAll
		}
		return nil, fmt.Errorf("tcpdump: %s", messages.Bytes())
	}
	return out, nil
}

// referenceProgram runs classic BPF as specified by bpf(4) and by libpcap's interpreter.
type referenceProgram []struct {
	code   uint32
	jt, jf uint32
	k      uint32
}

func parseReference(text []byte) (program *referenceProgram, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Scan() // the count
	p := referenceProgram{}
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var code, jt, jf, k uint32
		if _, err := fmt.Sscanf(strings.Join(strings.Fields(lines.Text()), " "), "%d %d %d %d", &code, &jt, &jf, &k); err != nil {
			return nil, err
		}
		p = append(p, struct{ code, jt, jf, k uint32 }{code, jt, jf, k})
	}
	return &p, nil
}

// errEndless ends a program that loops: protochain on a chain of headers that leads back
// into itself.
var errEndless = errors.New("endless loop")

func (p *referenceProgram) match(data []byte, wireLength uint32) (bool, error) {
	var a, x uint32
	var m [16]uint32
	load := func(at uint64, size uint32) (uint32, bool) {
		bytes := map[uint32]uint64{0x00: 4, 0x08: 2, 0x10: 1}[size]
		if at+bytes > uint64(len(data)) {
			return 0, false
		}
		v := uint32(0)
		for _, b := range data[at : at+bytes] {
			v = v<<8 | uint32(b)
		}
		return v, true
	}
	at := 0
	for range 100_000 {
		i := (*p)[at]
		at++
		ok := true
		switch class := i.code & 7; class {
		case 0, 1: // ld, ldx
			var v uint32
			switch i.code & 0xe0 {
			case 0x00:
				v = i.k
			case 0x20:
				v, ok = load(uint64(i.k), i.code&0x18)
			case 0x40:
				v, ok = load(uint64(i.k)+uint64(x), i.code&0x18)
			case 0x60:
				v = m[i.k]
			case 0x80:
				v = wireLength
			case 0xa0:
				v, ok = load(uint64(i.k), 0x10)
				v = v & 0xf * 4
			}
			if class == 0 {
				a = v
			} else {
				x = v
			}
		case 2:
			m[i.k] = a
		case 3:
			m[i.k] = x
		case 4:
			b := i.k
			if i.code&8 != 0 {
				b = x
			}
			switch i.code & 0xf0 {
			case 0x00:
				a += b
			case 0x10:
				a -= b
			case 0x20:
				a *= b
			case 0x30:
				if ok = b != 0; ok {
					a /= b
				}
			case 0x40:
				a |= b
			case 0x50:
				a &= b
			case 0x60:
				a <<= b
			case 0x70:
				a >>= b
			case 0x80:
				a = -a
			case 0x90:
				if ok = b != 0; ok {
					a %= b
				}
			case 0xa0:
				a ^= b
			}
		case 5:
			b := i.k
			if i.code&8 != 0 {
				b = x
			}
			var yes bool
			switch i.code & 0xf0 {
			case 0x00:
				at += int(int32(i.k))
				continue
			case 0x10:
				yes = a == b
			case 0x20:
				yes = a > b
			case 0x30:
				yes = a >= b
			case 0x40:
				yes = a&b != 0
			}
			if yes {
				at += int(i.jt)
			} else {
				at += int(i.jf)
			}
		case 6:
			if i.code&0x18 == 0x10 {
				return a != 0, nil
			}
			return i.k != 0, nil
		case 7:
			if i.code&0xf8 == 0 {
				x = a
			} else {
				a = x
			}
		}
		if !ok {
			return false, nil
		}
	}
	return false, errEndless
}

package acceptance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// troubles are commands that go wrong as the pages tell under DIAGNOSTICS.
var troubles = []string{
	`pcap-inject -i v9 a.pcap`,
	`setpriv --inh-caps=-all --bounding-set=-all pcap-inject -i v0 a.pcap`,
	`setpriv --inh-caps=-all,+net_raw --bounding-set=-all,+net_raw pcap-inject --realtime -i v0 a.pcap`,
	`pcap-inject -i v0 raw.pcap`,
	`pcap-inject -i v0 long.pcap`,
	`pcap-inject -i v0 short.pcap`,
	`pcap-inject -i v0 overlong.pcap`,
	`(head -c 1000 a.pcap; until grep -sq packets_out.:[1-9] sent; do sleep 0.01; done; tail -c +1001 a.pcap) | pcap-inject --delay 100ms --report sent -i v0`,
	`pcap-inject --delay 2s -i v0 a.pcap & sleep 1; kill -STOP $!; sleep 3; kill -CONT $!; wait $!`,
	`pcap-inject --fail-late 1ns -i v0 a.pcap`,
	`pcap-inject --at -i v0 a.pcap`,
	`ip link set v1 down && pcap-inject -i v0 a.pcap`,
	`ip link set v0 down && pcap-inject -i v0 a.pcap`,
	`pcap-pace --start-at 2020-01-01 a.pcap`,
	`cat a.pcap | pcap-pace --fit 10s`,
	`pcap-map cut.pcap bad.pcap notes.pcap`,
	`pcap-merge -o out.pcap a.pcap raw.pcap`,
	`pcap-merge --decap gre -o out.pcap fragment.pcap`,
	`pcap-merge --map 10.0.0.0/8=20.0.0.0/8 -o out.pcap short.pcap`,
	`tar -czf set.tar.gz a.pcap && pcap-tarls --index set.tar.gz && gzip -1c < a.pcap > b.pcap.gz && tar -czf set.tar.gz a.pcap b.pcap.gz && pcap-tarcat set.tar.gz`,
	`pcap-tarcat a.pcap`,
	`script -qec 'pcap-merge a.pcap' /dev/null < /dev/null`,
	`pcap-merge a.pcap > /dev/full`,
	`pcap-pace --fit 10 minutes a.pcap`,
	`pcap-inject -i v0 a.pcap udp port 53`,
	`pcap-pace --from yesterday a.pcap`,
	`pcap-inject --src-mac 02:00:00:00:00:01 --src-mac 02:00:00:00:00:02 -i v0 a.pcap`,
	`tar -cf one.tar a.pcap && cat one.tar one.tar > two.tar && pcap-tarls two.tar`,
	`pcap-tarls --index < one.tar`,
	`pcap-tarls --index one.tar && tar -rf one.tar notes.pcap && pcap-tarls --verify one.tar; tar -cf one.tar a.pcap`,
	`pcap-tarls --match '(' one.tar`,
	`pcap-tarcat one.tar nothing`,
	`pcap-tarcat --name b.pcap one.tar`,
	`pcap-tarcat --max-bytes 1000 one.tar`,
	`mkdir below && cd below && tar -P -cf ../up.tar ../a.pcap && cd .. && pcap-tarcat -C out up.tar`,
	`mkdir folder && cp a.pcap folder && cp notes.pcap folder/notes.txt && pcap-map folder`,
	`pcap-merge -q -o folder/all.pcap folder; pcap-merge -o folder/all.pcap folder`,
	`mkfifo folder/live && pcap-merge -o out.pcap folder; rm folder/live`,
	`rm folder/all.pcap; pcap-merge -o all.pcap --report folder/report folder`,
	`pcap-map --report 1 a.pcap`,
	`pcap-map --svg a.pcap`,
	`pcap-map --from-records a.pcap`,
	`pcap-map missing.pcap`,
	`pcap-merge --shard 4/4 a.pcap`,
	`pcap-merge --filter 'tcp prot 80' a.pcap`,
	`pcap-merge --select notes.pcap`,
	`echo '{"path":"a.pcap","size":9280}' | pcap-merge --select - > out.pcap`,
	`echo '{"path":"a.pcap","size":1000}' | pcap-merge --select - > out.pcap`,
	`(pcap-map a.pcap; pcap-map a.pcap) | pcap-merge --select - > out.pcap`,
	`pcap-merge --memory 3X a.pcap`,
	`pcap-merge --reorder 1ms a.pcap overtaken.pcap > out.pcap`,
	`pcap-merge future.pcapng > out.pcap`,
	`mkdir live; (for i in 1 2 3 4; do cat a.pcap > live/0; sleep .4; cat short.pcap > live/0; sleep .2; done) & pcap-merge -q --follow live --idle 1500ms > out.pcap; wait`,
	`cat a.pcap | pcap-pace --loop 2`,
	`pcap-pace --speed 2 --pps 3 a.pcap`,
	`pcap-pace --span 1h a.pcap`,
	`pcap-inject a.pcap`,
	`pcap-inject -i v0 -i v1 a.pcap`,
	`ip link set v0 up && ip link set v1 up && pcap-inject -i v0 -i v1 --split direction a.pcap`,
	`ip addr add 10.9.0.1/24 dev v0 && pcap-inject --to 'vxlan://10.9.0.9?vni=7' a.pcap; ip addr del 10.9.0.1/24 dev v0`,
	`pcap-inject --at --asap -i v0 a.pcap`,
	`pcap-inject --to 'vxlan://192.0.2.1?vni=7' a.pcap`,
	`ip link set lo up && pcap-inject --to 'vxlan://127.0.0.1?vni=7' a.pcap`,
	`cp half.pcap b.pcap; pcap-pace a.pcap b.pcap`,
	`pcap-inject -w out.pcap a.pcap b.pcap`,
	`mkdir later; cp later.pcap later/1.pcap; cp a.pcap later/1.pcap10; pcap-pace later`,
	`pcap-pace one.tar`,
	`pcap-merge --from 2012 --to 2013 -o out.pcap a.pcap`,
	`mkdir big; truncate -s 65M big/zeros; cp a.pcap big; tar -cf big.tar big; pcap-merge -o out.pcap big.tar`,
	`mkdir empty; pcap-map empty`,
	`pcap-map --match 'fold*.pcap' later`,
}

// figures of messages differ from run to run.
var messageFigures = regexp.MustCompile(`[0-9][0-9.hmsnµ]*( (ns|us|ms|s|min|h|days|years)\b)?`)

// withoutFigures is what two messages have in common.
func withoutFigures(message string) string {
	return strings.ReplaceAll(messageFigures.ReplaceAllString(message, "N"), "underruns:", "underrun:")
}

// The messages that the manual explains are those that there are.
func TestDiagnosticsAreReal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("interfaces that can be changed need root")
	}
	lab.NeedProgram(t, "ip", "setpriv", "script", "tar")
	var explained [][]string
	pages, err := filepath.Glob("../../man/*.[17]")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, diagnostics, _ := strings.Cut(string(page), "\n.Sh DIAGNOSTICS\n")
		messages := regexp.MustCompile(`(?m)^\.It "(pcap-.*)"$`).FindAllStringSubmatch(diagnostics, -1)
		if len(messages) == 0 {
			t.Errorf("%s explains no message", name)
		}
		explained = append(explained, messages...)
	}
	if len(explained) < len(troubles) {
		t.Fatalf("%d messages are explained, and %d commands go wrong", len(explained), len(troubles))
	}
	lab.Parallel(t)
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "v0", "v1")
	linkTools(t)
	t.Chdir(t.TempDir())
	makeTroubles(t)
	var said []string
	for _, command := range troubles {
		output, _ := exec.Command("bash", "-c", command).CombinedOutput()
		for line := range strings.Lines(string(output)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "\x1b[K") // on a terminal, a message clears its line
			said = append(said, withoutFigures(line))
		}
	}
	for _, message := range explained {
		if wanted := withoutFigures(escapes.Replace(message[1])); !slices.Contains(said, wanted) {
			t.Errorf("nothing went wrong with %s\n%s", wanted, strings.Join(said, "\n"))
		}
	}
}

// makeTroubles makes the files of troubles.
func makeTroubles(t *testing.T) {
	t.Helper()
	packets := lab.Packets(20, lab.Start, time.Millisecond, 100)
	lab.WriteCapture(t, "a.pcap", packets)
	whole := lab.Pcap(packets, binary.LittleEndian, true)
	raw, bad := slices.Clone(whole), slices.Clone(whole)
	binary.LittleEndian.PutUint32(raw[20:], 101) // LINKTYPE_RAW
	binary.LittleEndian.PutUint32(bad[32:], 0xffffffff)
	for name, data := range map[string][]byte{
		"raw.pcap": raw, "bad.pcap": bad, "cut.pcap": whole[:len(whole)-95], "notes.pcap": []byte("hello\n"),
	} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	future := packets[0]
	future.Time = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	lab.WriteCapture(t, "half.pcap", lab.Packets(20, lab.Start+int64(5*time.Millisecond), time.Millisecond, 100))
	lab.WriteCapture(t, "later.pcap", lab.Packets(20, lab.Start+int64(time.Hour), time.Millisecond, 100))
	overtaken := append(slices.Clone(packets), packets[:2]...)
	lab.WriteCapture(t, "overtaken.pcap", overtaken)
	writeLater(t, "future.pcapng", future)
	long, short, overlong := packets[0], packets[0], packets[0]
	long.Data, long.WireLength = lab.Frame(0, 0, 3000), 3000
	short.Data = short.Data[:10]
	lab.WriteCapture(t, "long.pcap", append(packets[:0:0], long))
	lab.WriteCapture(t, "short.pcap", append(packets[:0:0], short))
	const flags, protocol = 14 + 6, 14 + 9 // of the IPv4 header
	fragment := packets[0]
	fragment.Data = bytes.Clone(fragment.Data)
	fragment.Data[flags], fragment.Data[protocol] = 0x20, 47 // more fragments, GRE
	lab.WriteCapture(t, "fragment.pcap", append(packets[:0:0], fragment))
	overlong.WireLength = 84
	lab.WriteCapture(t, "overlong.pcap", append(packets[:0:0], overlong))
}

// writeLater writes a packet of a time that a pcap does not hold.
func writeLater(t *testing.T, name string, packet stream.Packet) {
	t.Helper()
	var file bytes.Buffer
	w, err := stream.NewWriter(&file, stream.WriterOptions{PcapNG: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write([]stream.Packet{packet}), w.Close(), os.WriteFile(name, file.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
}

package acceptance

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/lab"
	"pcap-replay/internal/record"
	"pcap-replay/stream"
)

// composedSet is small: what counts is that nothing of it changes on the way.
var composedSet = lab.WorkerSet{Workers: 8, Packets: 1500, Duration: 300 * time.Millisecond, FileSize: 60 << 10, Seed: 7}

// composition is a pipeline with other people's tools in it, and what must come
// out of it.
type composition struct {
	programs string // that it needs
	pipeline string
	want     []stream.Packet
}

// shell runs a pipeline as a user would type it, and gives what it prints. Every
// tool of ours in it is silent.
func shell(t *testing.T, pipeline string) []byte {
	t.Helper()
	command := exec.Command("bash", "-o", "pipefail", "-c", pipeline)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", pipeline, err, stderr.Bytes())
	}
	for _, tool := range lab.Tools {
		if strings.Contains(stderr.String(), tool+": ") {
			t.Errorf("%s: %s", pipeline, stderr.Bytes())
		}
	}
	return stdout.Bytes()
}

// onlyThose returns those packets that are wanted.
func onlyThose(packets []stream.Packet, wanted func(*stream.Packet) bool) (some []stream.Packet) {
	for i := range packets {
		if wanted(&packets[i]) {
			some = append(some, packets[i])
		}
	}
	return some
}

// changed returns copies of packets, changed.
func changed(packets []stream.Packet, change func(*stream.Packet)) []stream.Packet {
	packets = slices.Clone(packets)
	for i := range packets {
		packets[i].Data = bytes.Clone(packets[i].Data)
		change(&packets[i])
	}
	return packets
}

// inMicroseconds is what comes through a tool that keeps no nanoseconds.
func inMicroseconds(packets []stream.Packet) []stream.Packet {
	return changed(packets, func(p *stream.Packet) { p.Time -= p.Time % 1000 })
}

// sourcePort is that of a frame of lab.
func sourcePort(p *stream.Packet) uint16 { return binary.BigEndian.Uint16(p.Data[34:]) }

// replaceWord puts another 16-bit word into a frame of lab, and into the checksums
// of IPv4 and UDP, which cover it: RFC 1624.
func replaceWord(frame []byte, offset int, word uint16) {
	old := binary.BigEndian.Uint16(frame[offset:])
	binary.BigEndian.PutUint16(frame[offset:], word)
	for _, checksum := range []int{24, 40} {
		sum := uint32(^binary.BigEndian.Uint16(frame[checksum:])) + uint32(^old) + uint32(word)
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(frame[checksum:], ^uint16(sum))
	}
}

// compositions are pipelines in a folder with the set as captures/ and set.tar.gz.
func compositions(all []stream.Packet) []composition {
	twoFlows := onlyThose(all, func(p *stream.Packet) bool { return sourcePort(p) == 10005 || sourcePort(p) == 10006 })
	long := onlyThose(all, func(p *stream.Packet) bool { return p.WireLength >= 500 })
	hourLater := changed(all, func(p *stream.Packet) { p.Time += int64(time.Hour) })
	short := changed(all, func(p *stream.Packet) { p.Data = p.Data[:min(64, len(p.Data))] })
	otherMAC := changed(all, func(p *stream.Packet) { copy(p.Data, []byte{2, 0, 0, 0, 0, 9}) })
	otherIP := changed(all, func(p *stream.Packet) {
		replaceWord(p.Data, 30, 192<<8)
		replaceWord(p.Data, 32, 2<<8|1)
	})
	slice := onlyThose(all, func(p *stream.Packet) bool {
		return p.Time/1000 >= lab.Start/1000+100e3 && p.Time/1000 <= lab.Start/1000+200e3
	})
	return []composition{
		{"tcpdump", `pcap-merge captures | tcpdump -r - -w - 'udp src port 10005 or udp src port 10006' | pcap-pace --asap`, inMicroseconds(twoFlows)},
		{"tcpdump", `pcap-merge captures | tcpdump --nano -r - -w - 'len >= 500' | pcap-pace --asap`, long},
		{"tshark", `pcap-merge captures | tshark -r - -Y 'udp.srcport == 10005 || udp.srcport == 10006' -w - | pcap-pace --asap`, twoFlows},
		{"tshark", `pcap-merge --pcapng captures | tshark -r - -Y 'frame.len >= 500' -F nsecpcap -w - | pcap-pace --asap`, long},
		{"editcap", `pcap-merge captures | editcap -t 3600 - - | pcap-pace --asap`, hourLater},
		{"editcap", `pcap-merge captures | editcap -F nsecpcap -s 64 - - | pcap-pace --asap`, short},
		{"editcap", `(pcap-merge captures || test $? = 141) | editcap -r - - 1-100 | pcap-pace --asap`, all[:100]},
		{"editcap", `pcap-merge captures | editcap -c 400 - part.pcap && pcap-merge part_*`, all},
		{"mergecap", `mergecap -w - captures/* | pcap-pace --asap`, all},
		{"mergecap", `mergecap -a -w - captures/* | pcap-merge --reorder 10s`, all},
		{"mergecap", `pcap-merge captures/worker[0-5]* | mergecap -w - - captures/worker[67]* | pcap-pace --asap`, all},
		{"mergecap reordercap", `mergecap -a -w disorder.pcap captures/* && reordercap disorder.pcap order.pcap > /dev/null && pcap-pace --asap order.pcap`, all},
		{"tcprewrite", `pcap-merge captures | tcprewrite --enet-dmac=02:00:00:00:00:09 --infile=- --outfile=- | pcap-pace --asap`, inMicroseconds(otherMAC)},
		{"tcprewrite", `pcap-merge captures | tcprewrite --dstipmap=10.0.0.2/32:192.0.2.1/32 --infile=- --outfile=- | pcap-pace --asap`, inMicroseconds(otherIP)},
		{"tcpslice", `pcap-merge -o all.pcap captures && tcpslice -w - 1600000000.1 1600000000.2 all.pcap | pcap-pace --asap`, inMicroseconds(slice)},
		{"tcpslice", `tcpslice -w - captures/* | pcap-pace --asap`, inMicroseconds(all)},
		{"jq", `pcap-map captures | jq -c 'select(.path | test("worker[0-7]-"))' | pcap-merge --select -`, all},
		{"jq", `pcap-tarls set.tar.gz | jq -c 'select(.name | endswith(".pcap"))' | pcap-merge --select -`, all},
		{"jq", `pcap-tarls set.tar.gz | jq -r .name | sort | sed 's/^/--name=/' | xargs -d '\n' sh -c 'pcap-tarcat "$@" set.tar.gz' tarcat | pcap-merge`, all},
		{"jq", `pcap-map captures | jq -r '[.first, .path] | @tsv' | sort -r | cut -f 2 | xargs pcap-merge`, all},
		{"zstd", `pcap-merge captures | zstd -q | pcap-pace --asap`, all},
		{"zstd", `pcap-merge -z zstd captures | zstd -dc | pcap-pace --asap`, all},
		{"lz4", `pcap-merge captures | lz4 -q | pcap-pace --asap`, all},
		{"lz4", `pcap-merge -z lz4 captures | lz4 -dc | pcap-pace --asap`, all},
		{"gzip", `pcap-merge captures | gzip | pcap-pace --asap`, all},
		{"gzip", `pcap-merge -z gzip captures | gzip -dc | pcap-pace --asap`, all},
		{"pigz", `for f in captures/*; do pigz -c "$f"; done | pcap-merge`, all},
		{"xz", `pcap-merge captures | xz -0 | pcap-pace --asap`, all},
		{"bzip2", `pcap-merge captures | bzip2 -1 | pcap-pace --asap`, all},
		{"tar", `tar -xOf set.tar.gz | pcap-merge`, all},
		{"tar zstd", `tar -cf - captures | zstd -q | pcap-tarcat - '\.pcap$' | pcap-merge`, all},
		{"pv", `pcap-merge captures | pv -q -L 100M | pcap-pace --asap`, all},
		{"dd", `pcap-merge captures | dd bs=777 status=none | pcap-pace --asap`, all},
		{"parallel", `find captures -name '*.pcap' | parallel --will-cite -j 2 pcap-map {} | pcap-merge --select -`, all},
		{"parallel", `parallel --will-cite -j 2 pcap-merge --shard {}/4 -o shard{}.pcap captures ::: 0 1 2 3 && pcap-merge shard*.pcap`, all},
		{"xargs", `find captures -name '*.pcap' -print0 | xargs -0 -n 3 -P 4 pcap-map | pcap-merge --select -`, all},
		{"tee", `pcap-merge captures | tee >(cat > copy.pcap) | pcap-pace --asap`, all},
	}
}

func TestToolsComposeWithOthers(t *testing.T) {
	linkTools(t)
	makeSet(t, composedSet)
	for _, c := range compositions(composedSet.Merged()) {
		t.Run(c.pipeline, func(t *testing.T) {
			lab.NeedProgram(t, strings.Fields(c.programs)...)
			lab.WantPackets(t, lab.ReadPackets(t, bytes.NewReader(shell(t, c.pipeline))), c.want)
		})
	}
}

// What the other tools say of our streams, and what ours say of theirs.
func TestOthersReadOurStreams(t *testing.T) {
	linkTools(t)
	makeSet(t, composedSet)
	all := composedSet.Merged()
	var bytes int64
	times := ""
	for i := range all {
		bytes += int64(len(all[i].Data))
		times += fmt.Sprintf("%d.%09d\n", all[i].Time/1e9, all[i].Time%1e9)
	}
	first, last := record.Time(all[0].Time).String(), record.Time(all[len(all)-1].Time).String()
	for _, c := range []struct{ programs, pipeline, want string }{
		{"capinfos", `pcap-merge captures | capinfos -Trmcd -`, fmt.Sprintf("-,%d,%d\n", len(all), bytes)},
		{"capinfos", `pcap-merge captures | capinfos -Trmo -`, "-,True\n"},
		{"tshark", `pcap-merge captures | tshark -r - -T fields -e frame.time_epoch`, times},
		{"tshark", `pcap-merge --pcapng -z gzip -o all.pcapng.gz captures && tshark -r all.pcapng.gz -T fields -e frame.time_epoch`, times},
		{"tcpdump", `pcap-merge captures | tcpdump --nano -tt -nr - | cut -d ' ' -f 1`, times},
		{"tcpdump", `pcap-merge captures | tcpdump -nvvr - udp 2>&1 | grep -c 'bad udp cksum' || true`, "0\n"},
		{"jq", `pcap-merge captures | pcap-map | jq -r '.packets, .bytes, .first, .last, .out_of_order'`, fmt.Sprintf("%d\n%d\n%s\n%s\n0\n", len(all), bytes, first, last)},
		{"jq", `pcap-map captures | jq -s 'map(.packets) | add'`, fmt.Sprintln(len(all))},
		{"jq", `pcap-map captures | jq -rs 'map(.first) | min'`, first + "\n"},
		{"jq", `tcpdump --nano -r <(pcap-merge captures) -w - 'greater 500' | pcap-map | jq .packets`, fmt.Sprintln(len(onlyThose(all, func(p *stream.Packet) bool { return p.WireLength >= 500 })))},
		{"cksum", `pcap-merge captures | tee >(cksum > sum) | cksum > sum2; until [ -s sum ]; do sleep 0.01; done; cmp sum sum2`, ""},
		// A reader that has enough ends the pipeline, and nobody complains.
		{"tcpdump", `set +o pipefail; pcap-merge --loop 0 captures | tcpdump -r - -c 3000 -w - 2> /dev/null | pcap-map | grep -o '"packets":[0-9]*'`, "\"packets\":3000\n"},
		{"head", `pcap-merge --loop 0 captures | head -c 1000000 | wc -c; echo ${PIPESTATUS[*]}`, "1000000\n141 0 0\n"},
		{"editcap", `pcap-merge captures | editcap -d -w 0 - - 2> /dev/null | pcap-pace --asap --fit 1m --span 300ms | pcap-map | grep -o '"packets":[0-9]*'`, fmt.Sprintf("\"packets\":%d\n", len(all))},
	} {
		t.Run(c.pipeline, func(t *testing.T) {
			lab.NeedProgram(t, strings.Fields(c.programs)...)
			if got := string(shell(t, c.pipeline)); got != c.want {
				t.Errorf("printed %s, wanted %s", abridged(got), abridged(c.want))
			}
		})
	}
}

// abridged is for messages.
func abridged(text string) string {
	if len(text) <= 200 {
		return strconv.Quote(text)
	}
	return fmt.Sprintf("%q and %d bytes more", text[:200], len(text)-200)
}

// On an interface, too, others stand before and after our tools.
func TestInterfacesAreSharedWithOthers(t *testing.T) {
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	linkTools(t)
	makeSet(t, composedSet)
	all := composedSet.Merged()
	for _, c := range []composition{
		{"tcpdump", `pcap-merge captures | tcpdump --nano -r - -w - 'len >= 500' | pcap-inject -q -i left`, onlyThose(all, func(p *stream.Packet) bool { return p.WireLength >= 500 })},
		{"tshark", `pcap-merge captures | tshark -r - -w - | pcap-pace | pcap-inject -q -i left`, all},
		{"tcpreplay", `pcap-merge captures | pcap-pace --exact | tcpreplay -q -t -i left -`, all},
		{"pv", `pcap-merge captures | pcap-pace | pv -q | pcap-inject -q -i left`, all},
	} {
		lab.NeedProgram(t, strings.Fields(c.programs)...)
		expectReplay(t, c.pipeline, c.want)
	}
	// What a sensor captures goes on, packet by packet, as it comes.
	lab.MakePair(t, "north", "south")
	lab.NeedProgram(t, "tcpdump", "timeout")
	expectReplay(t, fmt.Sprintf(`
		timeout 30 tcpdump -i south --immediate-mode -s 2000 -B 32768 --nano -U -c %d -w - 2> log | pcap-inject -q -i left & relay=$!
		until grep -sq listening log; do sleep 0.01; done
		pcap-merge captures | pcap-inject -q -i north && wait $relay`, len(all)), all)
}

// Files that a sensor rotates are merged while it writes them.
func TestFollowsALiveSensor(t *testing.T) {
	lab.NeedProgram(t, "tcpdump", "timeout")
	if !lab.InNamespace(t) {
		return
	}
	lab.MakePair(t, "left", "right")
	linkTools(t)
	makeSet(t, composedSet)
	all := composedSet.Merged()
	out := shell(t, fmt.Sprintf(`
		mkdir live
		timeout 30 tcpdump -i right -Z root --immediate-mode -s 2000 -B 32768 --nano -U -G 1 -c %d -w live/%%s.pcap 2> log & sensor=$!
		until grep -sq listening log; do sleep 0.01; done
		pcap-merge captures | pcap-pace --speed 0.15 | pcap-inject -q -i left & injector=$!
		pcap-merge --follow live --idle 2s && wait $sensor && wait $injector && test $(ls live | wc -l) -gt 1`, len(all)))
	wantArrival(t, "pcap-merge --follow", all, lab.ReadPackets(t, bytes.NewReader(out)))
}

// sensors are started on a stream that they are to read to its end; what they
// write about it holds words.
var sensors = []struct{ program, pipeline, words string }{
	{"zeek", `mkdir zeek && cd zeek && pcap-merge ../captures | zeek -C -r - && cat conn.log`, "10.0.0.2"},
	{"suricata", `mkdir suricata && pcap-merge -o all.pcap captures && suricata -k none -r all.pcap -l suricata && cat suricata/eve.json`, `"dest_ip":"10.0.0.2"`},
}

// Sensors are large, and seldom installed where tests run: those that are there
// read our streams.
func TestSensorsReadOurStreams(t *testing.T) {
	linkTools(t)
	makeSet(t, composedSet)
	for _, sensor := range sensors {
		if _, err := exec.LookPath(sensor.program); err != nil {
			t.Logf("no %s", sensor.program)
			continue
		}
		if out := shell(t, sensor.pipeline); !strings.Contains(string(out), sensor.words) {
			t.Errorf("%s: wanted %q in %s", sensor.pipeline, sensor.words, abridged(string(out)))
		}
	}
}

package merge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// stepping makes packets of one input whose clock steps forwards and backwards, and
// which are up to disorder out of order in between. The steps back are longer than
// window.
func stepping(random *rand.Rand, input, count int, window, gap, disorder int64) []stream.Packet {
	packets := capture(random, input, count, lab.Start, gap, disorder)
	clock := int64(0)
	for i := range packets {
		switch random.IntN(40) {
		case 0:
			clock -= window + 2*gap + disorder + 1 + random.Int64N(10*(window+1))
		case 1:
			clock += random.Int64N(10 * (window + 1))
		}
		packets[i].Time += clock
	}
	return packets
}

// inOwnOrder orders the packets of one input by the rule of the package comment.
func inOwnOrder(packets []stream.Packet, window int64) []stream.Packet {
	var ordered []stream.Packet
	for len(packets) > 0 {
		latest, end := packets[0].Time, 1
		for end < len(packets) && packets[end].Time >= latest-window {
			latest = max(latest, packets[end].Time)
			end++
		}
		stretch := slices.Clone(packets[:end])
		if len(ordered) > 0 {
			slices.SortStableFunc(stretch[1:], byTime) // the first one is too late
		} else {
			slices.SortStableFunc(stretch, byTime)
		}
		ordered, packets = append(ordered, stretch...), packets[end:]
	}
	return ordered
}

// byFront merges inputs like mergecap: the earliest packet of those that are next in their
// inputs comes first, and among equal times that of the first input.
func byFront(inputs [][]stream.Packet) (merged []stream.Packet) {
	inputs = slices.Clone(inputs)
	for {
		first := -1
		for i, input := range inputs {
			if len(input) > 0 && (first < 0 || input[0].Time < inputs[first][0].Time) {
				first = i
			}
		}
		if first < 0 {
			return merged
		}
		merged, inputs[first] = append(merged, inputs[first][0]), inputs[first][1:]
	}
}

func countLate(packets []stream.Packet) (late int64) {
	for i := range packets {
		if i > 0 && packets[i].Time < slices.MaxFunc(packets[:i], byTime).Time {
			late++
		}
	}
	return late
}

func wantSame(t testing.TB, got, want []stream.Packet) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d packets, wanted %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Time != want[i].Time || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("packet %d: got %v at %d, wanted %v at %d", i,
				identify(&got[i]), got[i].Time-lab.Start, identify(&want[i]), want[i].Time-lab.Start)
		}
	}
}

// ways are all the ways from a file to a merge.
var ways = map[string]func(t testing.TB, paths []string, window int64) []*Input{
	"looked through before": func(t testing.TB, paths []string, window int64) []*Input {
		return openSmall(t, NewCaptures(files.NewPool(8, nil), window, 1<<30), paths, nil)
	},
	"read ahead": func(t testing.TB, paths []string, window int64) []*Input {
		return openSmall(t, NewCaptures(files.NewPool(8, nil), window, 1<<30), paths, func(c *Contents) { c.Disorder = UnknownDisorder })
	},
	"read ahead as a stream": func(t testing.TB, paths []string, window int64) []*Input {
		return openSmall(t, NewCaptures(files.NewPool(8, nil), window, 1<<30), paths, func(c *Contents) {
			c.Disorder, c.Uncompressed = UnknownDisorder, false
		})
	},
	"seen by a prescan": func(t testing.TB, paths []string, window int64) []*Input {
		captures := NewCaptures(files.NewPool(8, nil), window, 0)
		captures.blocks = newBlocks(1) // too few to hold a window
		return openSmall(t, captures, paths, func(c *Contents) { c.Disorder = UnknownDisorder })
	},
	"told by a record": func(t testing.TB, paths []string, window int64) []*Input {
		// A record has the largest disorder.
		return openSmall(t, NewCaptures(files.NewPool(8, nil), window, 1<<30), paths, func(c *Contents) { c.Disorder = 1 << 62 })
	},
	"run in memory": func(t testing.TB, paths []string, window int64) []*Input {
		return addSections(t, NewRuns(1<<30, t.TempDir(), window, false), paths)
	},
	"spilled run": func(t testing.TB, paths []string, window int64) []*Input {
		runs := NewRuns(0, t.TempDir(), window, false)
		t.Cleanup(func() { runs.Close() })
		return addSections(t, runs, paths)
	},
	"folded": func(t testing.TB, paths []string, window int64) []*Input {
		return folded(t, openSmall(t, NewCaptures(files.NewPool(8, nil), window, 1<<30), paths, nil), 1<<30)
	},
	"folded and spilled": func(t testing.TB, paths []string, window int64) []*Input {
		return folded(t, openSmall(t, NewCaptures(files.NewPool(8, nil), window, 1<<30), paths, nil), 0)
	},
}

// folded folds inputs in pairs if two or more are open at the same time.
func folded(t testing.TB, inputs []*Input, memory int64) []*Input {
	t.Helper()
	runs := NewRuns(memory, t.TempDir(), 0, false)
	t.Cleanup(func() { runs.Close() })
	inputs, err := runs.Fold(t.Context(), inputs, min(2, max(len(inputs)-1, 1)), Options{Trouble: strict})
	if err != nil {
		t.Fatal(err)
	}
	return inputs
}

// openSmall makes inputs of files with blocks so small that a window takes many.
func openSmall(t testing.TB, captures *Captures, paths []string, know func(*Contents)) (inputs []*Input) {
	t.Helper()
	for _, path := range paths {
		contents, err := peek(captures, path)
		if err != nil {
			t.Fatal(err)
		}
		if know != nil {
			know(&contents)
		}
		input := captures.File(path, contents)
		openWith(input, minBlockSize)
		inputs = append(inputs, input)
	}
	return inputs
}

func writeCaptures(t testing.TB, inputs [][]stream.Packet) (paths []string) {
	t.Helper()
	folder := t.TempDir()
	for i, packets := range inputs {
		paths = append(paths, filepath.Join(folder, fmt.Sprint(i)))
		writeCapture(t, paths[i], packets, stream.Uncompressed)
	}
	return paths
}

// TestInputsKeepTheirOrder merges inputs whose clocks step, in every way from a file to a
// merge.
func TestInputsKeepTheirOrder(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 17))
		gap := int64(1) << random.IntN(20)
		window := random.Int64N(30 * gap)
		disorder := []int64{0, window}[random.IntN(2)]
		var inputs, ordered [][]stream.Packet
		for i := range 1 + random.IntN(4) {
			packets := stepping(random, i, random.IntN(600), window, gap, disorder)
			if seed%4 == 0 {
				packets = capture(random, i, random.IntN(600), lab.Start, gap, disorder)
			}
			inputs, ordered = append(inputs, packets), append(ordered, inOwnOrder(packets, window))
		}
		paths := writeCaptures(t, inputs)
		want := byFront(ordered)
		for name, way := range ways {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				got, late := mergeAll(t, way(t, paths, window))
				wantSame(t, got, want)
				if want := countLate(want); late != want {
					t.Errorf("%d packets late, wanted %d", late, want)
				}
			})
		}
		t.Run(fmt.Sprintf("followed/%d", seed), func(t *testing.T) {
			got := follow(t, paths, window)
			if len(got) != len(want) {
				t.Fatalf("%d packets, wanted %d", len(got), len(want))
			}
			if countLate(want) == 0 && !slices.IsSortedFunc(got, byTime) {
				t.Error("not in order")
			}
			for i := range ordered {
				of := slices.DeleteFunc(slices.Clone(got), func(p stream.Packet) bool { return identify(&p).input != i })
				wantSame(t, of, ordered[i])
			}
		})
	}
}

// follow returns the packets of a Follower of files that do not grow any more.
func follow(t *testing.T, paths []string, window int64) (got []stream.Packet) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		captures := NewCaptures(files.NewPool(8, nil), window, 8<<20)
		f := NewFollower(captures, folderOf(filepath.Dir(paths[0]), time.Second), Options{Trouble: strict})
		defer f.Close()
		batch := make([]stream.Packet, 100)
		for {
			n, err := f.Read(batch)
			got = append(got, batch[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if late := countLate(got); f.Late() != late {
			t.Errorf("%d packets late, wanted %d", f.Late(), late)
		}
	})
	return got
}

// TestPacketsInOrderDoNotOvertake merges packets with random times. If the second of two
// packets of one input is not earlier than the first, they keep their order.
func TestPacketsInOrderDoNotOvertake(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 18))
		packets := make([]stream.Packet, 200)
		for i := range packets {
			packets[i] = numbered(lab.Start+random.Int64N(1000), 0, i)
		}
		paths := writeCaptures(t, [][]stream.Packet{packets})
		for name, way := range ways {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				got, _ := mergeAll(t, way(t, paths, random.Int64N(500)))
				place := make([]int, len(packets))
				for i := range got {
					place[identify(&got[i]).number] = i
				}
				for i := range packets {
					for j := range packets[:i] {
						if packets[j].Time <= packets[i].Time && place[j] > place[i] {
							t.Fatalf("packet %d at %d came out behind packet %d at %d", j, packets[j].Time-lab.Start, i, packets[i].Time-lab.Start)
						}
					}
				}
			})
		}
	}
}

// TestStepsOfTheClock merges one input with a window of 10.
func TestStepsOfTheClock(t *testing.T) {
	for _, c := range []struct {
		name        string
		times, want []int64
		late        int64
	}{
		{"back", []int64{18, 24, 29, 1, 6, 12, 18, 24, 30, 36}, []int64{18, 24, 29, 1, 6, 12, 18, 24, 30, 36}, 5},
		{"back, and disorder behind it", []int64{50, 55, 52, 20, 27, 24, 60}, []int64{50, 52, 55, 20, 24, 27, 60}, 3},
		{"back, and an earlier packet behind it", []int64{50, 20, 15, 25, 60}, []int64{50, 20, 15, 25, 60}, 3},
		{"back by no more than the window", []int64{50, 40, 45, 51}, []int64{40, 45, 50, 51}, 0},
		{"forward and back", []int64{10, 1000, 11, 13, 12, 14}, []int64{10, 1000, 11, 12, 13, 14}, 4},
		{"one packet of long ago", []int64{50, 53, 1, 52, 54}, []int64{50, 53, 1, 52, 54}, 2},
		{"two clocks", []int64{50, 20, 51, 21, 52, 22}, []int64{50, 20, 51, 21, 52, 22}, 3},
	} {
		var packets []stream.Packet
		for i, time := range c.times {
			packets = append(packets, numbered(lab.Start+time, 0, i))
		}
		paths := writeCaptures(t, [][]stream.Packet{packets})
		for name, way := range ways {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				got, late := mergeAll(t, way(t, paths, 10))
				var order []int64
				for i := range got {
					order = append(order, got[i].Time-lab.Start)
				}
				if !slices.Equal(order, c.want) || late != c.late {
					t.Errorf("order %v with %d late, wanted %v with %d", order, late, c.want, c.late)
				}
			})
		}
	}
}

// TestMergecapKeepsTheSameOrder compares with mergecap, for inputs that are in order except
// for steps of their clocks.
func TestMergecapKeepsTheSameOrder(t *testing.T) {
	if _, err := exec.LookPath("mergecap"); err != nil {
		t.Skip("no mergecap here")
	}
	const window = int64(time.Second)
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 19))
		inputs := make([][]stream.Packet, 1+int(seed)%4)
		for i := range inputs {
			inputs[i] = stepping(random, i, 300, window, int64(20*time.Millisecond), 0)
			for n := range inputs[i] {
				at := &inputs[i][n].Time
				*at += int64(i) - *at%int64(len(inputs)) // for equal times, mergecap has an order of its own
			}
		}
		paths := writeCaptures(t, inputs)
		reference, err := exec.Command("mergecap", append([]string{"-F", "nsecpcap", "-w", "-"}, paths...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := readAll(t, bytes.NewReader(reference))
		for name, way := range ways {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				got, _ := mergeAll(t, way(t, paths, window))
				wantSame(t, got, want)
			})
		}
	}
}

func readAll(t testing.TB, src io.Reader) (packets []stream.Packet) {
	t.Helper()
	for packet, err := range stream.NewReader(src).Packets() {
		if err != nil {
			t.Fatal(err)
		}
		kept := *packet
		kept.Data = bytes.Clone(packet.Data)
		packets = append(packets, kept)
	}
	return packets
}

// TestFollowDoesNotWaitForAClockThatIsBehind follows a file whose clock steps back by a year,
// and one whose clock is right. Packets of both are returned while the files grow.
func TestFollowDoesNotWaitForAClockThatIsBehind(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const count, gap = 400, 10 * time.Millisecond
		paths := []string{filepath.Join(folder, "0"), filepath.Join(folder, "1")}
		for input, path := range paths {
			packets := make([]stream.Packet, count)
			for i := range packets {
				packets[i] = numbered(lab.Start+int64(i)*int64(gap), input, i)
				if input == 0 && i >= 100 {
					packets[i].Time -= int64(365 * 24 * time.Hour)
				}
			}
			file, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			go writePaced(t, file, packets, gap)
		}
		captures := NewCaptures(files.NewPool(8, nil), int64(100*time.Millisecond), 8<<20)
		f := NewFollower(captures, folderOf(folder, 2*time.Second), Options{Trouble: strict})
		defer f.Close()
		began := time.Now()
		batch := make([]stream.Packet, 100)
		next := [2]int{}
		for {
			n, err := f.Read(batch)
			for i := range batch[:n] {
				id := identify(&batch[i])
				if id.number != next[id.input] {
					t.Fatalf("packet %d of input %d, wanted %d", id.number, id.input, next[id.input])
				}
				next[id.input]++
				written := time.Duration(id.number) * gap
				if held := time.Since(began) - written; held > time.Second {
					t.Fatalf("packet %d of input %d was held for %v", id.number, id.input, held)
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if next != [2]int{count, count} {
			t.Errorf("%d packets, wanted %d of each", next, count)
		}
	})
}

// writePaced writes a packet every gap.
func writePaced(t *testing.T, file *os.File, packets []stream.Packet, gap time.Duration) {
	capture := lab.Pcap(packets, binary.LittleEndian, true)
	end := fileHeader
	for i := range packets {
		start := end
		if i == 0 {
			start = 0
		}
		end += recordHeader + len(packets[i].Data)
		if _, err := file.Write(capture[start:end]); err != nil {
			t.Error(err)
		}
		time.Sleep(gap)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

// The lengths of the headers of a pcap and of its records.
const fileHeader, recordHeader = 24, 16

package merge

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pcap-replay/internal/files"
	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// outcome is the result of following a folder.
type outcome struct {
	packets []stream.Packet
	damage  []*stream.Damage
	unread  []*UnreadError
	others  []error
	files   int
}

// followWhile follows a folder while write writes files, and for three seconds more.
func followWhile(t *testing.T, folder string, write func()) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		trouble := func(_ *Input, err error) error {
			var damage *stream.Damage
			var unread *UnreadError
			switch {
			case errors.As(err, &damage):
				o.damage = append(o.damage, damage)
			case errors.As(err, &unread):
				o.unread = append(o.unread, unread)
			default:
				o.others = append(o.others, err)
			}
			return nil
		}
		f := NewFollower(NewCaptures(files.NewPool(100, nil), 1e9, 0), folderOf(folder, 0), Options{Trouble: trouble})
		defer f.Close()
		time.Sleep(scanInterval / 2) // so that no look comes in the middle of a write
		write()
		time.Sleep(3 * time.Second)
		f.Stop()
		batch := make([]stream.Packet, 100)
		for {
			n, err := f.Read(batch)
			for _, p := range batch[:n] {
				p.Data = bytes.Clone(p.Data)
				o.packets = append(o.packets, p)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		o.files = f.Files()
	})
	return o
}

// writer writes files in a test, and pauses after each step.
type writer struct {
	t      *testing.T
	folder string
}

func (w writer) path(name string) string { return filepath.Join(w.folder, name) }

func (w writer) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(3 * scanInterval)
}

// append adds data to a file in two parts.
func (w writer) append(name string, data []byte) {
	w.t.Helper()
	file, err := os.OpenFile(w.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		w.t.Fatal(err)
	}
	defer file.Close()
	for _, part := range [][]byte{data[:len(data)/2], data[len(data)/2:]} {
		_, err := file.Write(part)
		w.must(err)
	}
}

func (w writer) rewrite(name string, data []byte) { w.must(os.WriteFile(w.path(name), data, 0o666)) }
func (w writer) rename(from, to string)           { w.must(os.Rename(w.path(from), w.path(to))) }
func (w writer) remove(name string)               { w.must(os.Remove(w.path(name))) }

// somePackets are count packets, numbered from first on.
func somePackets(first, count int) (capture []byte) {
	packets := lab.Packets(first+count, lab.Start, time.Millisecond, 100)
	return lab.Pcap(packets[first:], binary.LittleEndian, true)
}

// TestFollowKnowsFiles checks that files are identified by their inode and first bytes:
// whatever happens to them, each packet is returned once.
func TestFollowKnowsFiles(t *testing.T) {
	a, b, c := somePackets(0, 100), somePackets(100, 50), somePackets(150, 70)
	header := a[:24]
	const copied = "a plain copy is another capture"
	type story struct {
		name  string
		tell  func(w writer)
		count int // of packets
		files int // that are followed
	}
	stories := []story{
		{"renamed while it grows", func(w writer) {
			w.append("a", a[:1000])
			w.rename("a", "b")
			w.append("b", a[1000:])
			w.rename("b", "a")
		}, 100, 1},
		{"names change places", func(w writer) {
			w.rewrite("a", a)
			w.rewrite("b", b)
			w.rename("a", "x")
			w.rename("b", "a")
			w.rename("x", "b")
		}, 150, 2},
		{"a name is used again", func(w writer) {
			w.rewrite("a", a)
			w.rename("a", "a.1")
			w.rewrite("a", b)
			w.rename("a.1", "a.2")
			w.rename("a", "a.1")
			w.rewrite("a", c)
		}, 220, 3},
		{"written anew", func(w writer) {
			w.rewrite("a", a)
			w.rewrite("a", b)
			w.rewrite("a", c)
		}, 220, 3},
		{"only its header, and written anew", func(w writer) {
			w.rewrite("a", header)
			w.rewrite("a", b)
			w.rewrite("a", header)
			w.append("a", c[24:])
		}, 120, 2},
		{"deleted with only its header, and its inode used again", func(w writer) {
			w.rewrite("a", header)
			w.remove("a")
			time.Sleep(5 * time.Second) // until it is closed
			w.rewrite("b", b)           // most file systems give it the inode
		}, 50, 2},
		{"deleted and written anew", func(w writer) {
			w.rewrite("a", a)
			w.remove("a")
			w.rewrite("a", b)
			time.Sleep(3 * time.Second) // until the first one is closed
			w.remove("a")
			w.rewrite("a", c)
		}, 220, 3},
		{"deleted while it grows", func(w writer) {
			file, err := os.Create(w.path("a"))
			w.must(err)
			_, err = file.Write(a[:1000])
			w.must(err)
			w.remove("a")
			_, err = file.Write(a[1000:])
			w.must(err)
			w.must(file.Close())
		}, 100, 1},
		{"moved away while it grows, and back after a time", func(w writer) {
			elsewhere := filepath.Join(w.t.TempDir(), "a")
			w.append("a", a[:1000])
			w.must(os.Rename(w.path("a"), elsewhere))
			time.Sleep(5 * time.Second)
			w.must(os.Rename(elsewhere, w.path("b")))
			w.append("b", a[1000:])
		}, 100, 1},
		{"linked", func(w writer) {
			w.append("a", a)
			w.must(os.Link(w.path("a"), w.path("b")))
			w.must(os.Symlink("a", w.path("c")))
		}, 100, 1},
		{"grows when it was complete long ago", func(w writer) {
			w.rewrite("a", a[:24+10*116])
			time.Sleep(10 * time.Second)
			w.append("a", a[24+10*116:])
		}, 100, 1},
		{"begins with half a header", func(w writer) {
			w.append("a", a[:10])
			time.Sleep(5 * time.Second)
			w.append("a", a[10:])
		}, 100, 1},
		{copied, func(w writer) {
			w.rewrite("a", a)
			w.rewrite("b", a)
		}, 200, 2},
	}
	for i, compressed := range lab.Compressions(t, a) {
		compression := stream.DetectCompression(compressed).String()
		stories = append(stories,
			story{compression + " beside it", func(w writer) {
				w.append("a", a)
				w.append("a.gz", compressed)
				w.remove("a")
			}, 100, 1},
			story{compression + " of what grew and was deleted since the last look", func(w writer) {
				file, err := os.Create(w.path("a"))
				w.must(err)
				defer file.Close()
				_, err = file.Write(header)
				w.must(err)
				_, err = file.Write(a[len(header):])
				err = errors.Join(err, os.WriteFile(w.path("a.gz"), compressed, 0o666), os.Remove(w.path("a")))
				w.must(err)
			}, 100, 1},
			story{compression + " of what was renamed", func(w writer) {
				w.append("a", a)
				w.rename("a", "a.1")
				w.append("a", b)
				w.append("a.1.gz", compressed)
				w.remove("a.1")
			}, 150, 2},
			story{compression + " moved in when the plain file is gone", func(w writer) {
				w.append("a", a)
				w.remove("a")
				time.Sleep(5 * time.Second)
				w.rewrite("a", b) // its inode may be that of the one before
				w.append(".a.gz", compressed)
				w.rename(".a.gz", "a.gz")
			}, 150, 2},
			story{compression + " first", func(w writer) {
				w.append("a.gz", compressed)
				w.append("a", a)
				w.remove("a.gz")
			}, 100, 1},
			story{compression + " of another capture", func(w writer) {
				w.append("b", b)
				w.append("a.gz", compressed)
			}, 150, 2},
		)
		if i == 0 {
			other := lab.Compressed(t, a, stream.Zstd)
			stories = append(stories, story{"compressed twice", func(w writer) {
				w.append("a.gz", compressed)
				w.append("a.zst", other)
			}, 100, 1})
		}
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			folder := t.TempDir()
			o := followWhile(t, folder, func() { story.tell(writer{t, folder}) })
			if len(o.packets) != story.count || o.files != story.files {
				t.Errorf("%d packets of %d files, wanted %d of %d", len(o.packets), o.files, story.count, story.files)
			}
			seen := map[uint32]bool{}
			for i := range o.packets {
				sequence, _ := lab.Sequence(o.packets[i].Data)
				seen[sequence] = true
			}
			if twice := story.name == copied; !twice && len(seen) != story.count {
				t.Errorf("%d different packets, wanted %d", len(seen), story.count)
			}
			if len(o.damage)+len(o.unread)+len(o.others) > 0 {
				t.Errorf("trouble: %v %v %v", o.damage, o.unread, o.others)
			}
		})
	}
}

// TestFollowCountsWhatIsOverwritten reads only after a ring of files has been overwritten many
// times. Every byte is returned or counted as lost.
func TestFollowCountsWhatIsOverwritten(t *testing.T) {
	const rounds, count = 14, 15000
	folder := t.TempDir()
	written := int64(0)
	o := followWhile(t, folder, func() {
		w := writer{t, folder}
		for round := range rounds {
			capture := somePackets(round*count, count+round) // another size each time
			written += int64(len(capture))
			w.rewrite(strconv.Itoa(round%2), capture)
		}
	})
	read := int64(24*o.files) + int64(len(o.packets))*(16+100)
	lost := int64(0)
	for _, damage := range o.damage {
		lost += damage.Lost
	}
	for _, unread := range o.unread {
		lost += unread.Lost
		if unread.AtLeast {
			t.Errorf("the loss is not known: %v", unread)
		}
	}
	if read+lost != written || lost == 0 || o.files != rounds {
		t.Errorf("%d bytes of %d files written, %d read, %d lost", written, o.files, read, lost)
	}
}

// TestFollowSaysThatMoreMayBeLost overwrites a file as soon as it has been closed, as a ring
// of one file does.
func TestFollowSaysThatMoreMayBeLost(t *testing.T) {
	folder := t.TempDir()
	o := followWhile(t, folder, func() {
		w := writer{t, folder}
		a := somePackets(0, 100)
		file, err := os.Create(w.path("a"))
		w.must(err)
		_, err = file.Write(a[:2000])
		w.must(err)
		if _, err := file.Write(a[2000:]); err != nil {
			t.Fatal(err)
		}
		file.Close()
		w.rewrite("a", somePackets(200, 10))
	})
	if len(o.unread) != 1 || !o.unread[0].AtLeast || len(o.packets) != 17+10 {
		t.Errorf("%d packets, unread %v", len(o.packets), o.unread)
	}
}

// TestFollowKnowsWhatGrewBeforeItWasOverwritten overwrites a file of which a look saw nothing,
// only the headers, which all captures of an interface share, or a few packets. The file was
// there before, or comes later.
func TestFollowKnowsWhatGrewBeforeItWasOverwritten(t *testing.T) {
	for seen, packets := range map[int]int{0: 10, 24: 10, 24 + 3*116: 13} {
		for _, isOld := range []bool{false, true} {
			w, a := writer{t, t.TempDir()}, somePackets(0, 100)
			var file *os.File
			begin := func() {
				var err error
				file, err = os.Create(w.path("a"))
				w.must(err)
				_, err = file.Write(a[:seen])
				w.must(err)
			}
			if isOld {
				begin()
			}
			o := followWhile(t, w.folder, func() {
				if isOld {
					time.Sleep(5 * time.Second)
				} else {
					begin()
				}
				if _, err := file.Write(a[seen:]); err != nil {
					t.Fatal(err)
				}
				file.Close()
				w.rewrite("a", somePackets(200, 10))
			})
			if len(o.unread) != 1 || !o.unread[0].AtLeast && o.unread[0].Unseen != 1 || len(o.packets) != packets {
				t.Errorf("%d bytes seen, old %v: %d packets, wanted %d, unread %v", seen, isOld, len(o.packets), packets, o.unread)
			}
		}
	}
}

// TestFollowCountsCapturesThatItDoesNotSee overwrites a file several times between two looks.
func TestFollowCountsCapturesThatItDoesNotSee(t *testing.T) {
	for _, times := range []int{1, 2, 5} {
		folder := t.TempDir()
		o := followWhile(t, folder, func() {
			w := writer{t, folder}
			w.rewrite("a", somePackets(0, 100))
			for i := range times - 1 {
				if err := os.WriteFile(w.path("a"), somePackets(1000*(i+1), 30), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			w.rewrite("a", somePackets(100, 10))
			w.rewrite("a", somePackets(110, 20))
		})
		unseen := 0
		for _, unread := range o.unread {
			unseen += unread.Unseen
		}
		if len(o.packets) != 130 || unseen != times-1 || len(o.unread) > 1 {
			t.Errorf("%d times: %d packets, %v", times, len(o.packets), o.unread)
		}
	}
}

// TestFollowCountsCapturesBeforeItsFirstLook writes a file several times before the first look
// at it. If its first packet is not later than its birth, it may have been appended to.
func TestFollowCountsCapturesBeforeItsFirstLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, isKnown := files.Birth(path); !isKnown {
		t.Skip("this file system does not keep the times of birth")
	}
	const day = 24 * time.Hour
	for _, test := range []struct {
		name    string
		flags   int
		changes bool          // each time
		later   time.Duration // than the birth of the file is its first packet
		times   int
		isOpen  bool // the last time
		unseen  int
	}{
		{"once", os.O_TRUNC, true, day, 1, false, 0},
		{"overwritten", os.O_TRUNC, true, day, 2, false, 1},
		{"overwritten soon", os.O_TRUNC, true, 20 * time.Millisecond, 2, false, 1},
		{"overwritten several times", os.O_TRUNC, true, day, 5, false, 4},
		{"being overwritten", os.O_TRUNC, true, day, 5, true, 4},
		{"appended to", os.O_APPEND, true, 5 * time.Millisecond, 5, false, 0},
		{"appended to, and the capture is old", os.O_APPEND, true, -day, 5, false, 0},
		{"closed without a change before", 0, false, day, 5, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			o := followWhile(t, folder, func() {
				w := writer{t, folder}
				var start time.Time
				for i := range test.times {
					file, err := os.OpenFile(w.path("a"), test.flags|os.O_CREATE|os.O_WRONLY, 0o666)
					if err != nil {
						t.Fatal(err)
					}
					if i == 0 {
						born, _ := files.Birth(w.path("a"))
						start = born.Add(test.later)
					}
					data := lab.Pcap(lab.Packets(i+10, start.UnixNano(), time.Millisecond, 100)[i:], binary.LittleEndian, true)
					if test.flags == os.O_APPEND && i > 0 {
						data = data[24:]
					}
					if isLast := i == test.times-1; test.changes || isLast {
						if _, err := file.Write(data); err != nil {
							t.Fatal(err)
						}
						if isLast && test.isOpen {
							defer file.Close()
							continue
						}
					}
					file.Close()
				}
				w.must(nil)
			})
			packets := 10
			if test.flags == os.O_APPEND {
				packets *= test.times
			}
			unseen := 0
			for _, unread := range o.unread {
				unseen += unread.Unseen
			}
			if len(o.packets) != packets || unseen != test.unseen {
				t.Errorf("%d packets, wanted %d; unseen %v, wanted %d", len(o.packets), packets, o.unread, test.unseen)
			}
		})
	}
}

// countAll reads to the end and returns the number of packets.
func countAll(t *testing.T, f *Follower) (packets int) {
	t.Helper()
	batch := make([]stream.Packet, 100)
	for {
		n, err := f.Read(batch)
		packets += n
		if err == io.EOF {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFollowWaitsForToolsThatEnd stops while one tool writes its last packets a little later,
// and another one writes without end.
func TestFollowWaitsForToolsThatEnd(t *testing.T) {
	for name, ends := range map[string]bool{"ends": true, "goes on": false} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				f := NewFollower(NewCaptures(files.NewPool(100, nil), 1e9, 0), folderOf(folder, 0), Options{Trouble: strict})
				defer f.Close()
				w, capture := writer{t, folder}, somePackets(0, 100)
				file, err := os.Create(w.path("a"))
				w.must(err)
				defer file.Close()
				_, err = file.Write(capture[:24+40*116])
				w.must(err)
				w.rename("a", "b")
				go func() {
					time.Sleep(900 * time.Millisecond)
					_, _ = file.Write(capture[24+40*116:])
					if ends {
						file.Close()
					}
				}()
				f.Stop()
				began, packets := time.Now(), countAll(t, f)
				if took := time.Since(began); packets != 100 || ends && took > stopTime || took > 2*stopTime {
					t.Errorf("%d packets in %v, wanted 100", packets, took)
				}
			})
		})
	}
}

// TestFollowWaitsForTheNextOfARing stops after a file has been overwritten and before its
// writer, which has the next packets in a buffer, writes anything.
func TestFollowWaitsForTheNextOfARing(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := writer{t, folder}
		w.rewrite("a", somePackets(0, 100))
		f := NewFollower(NewCaptures(files.NewPool(100, nil), 1e9, 0), folderOf(folder, 0), Options{Trouble: strict})
		defer f.Close()
		go func() {
			time.Sleep(3 * time.Second) // until all of it has been read
			file, err := os.Create(w.path("a"))
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(4 * scanInterval)
			f.Stop()
			time.Sleep(900 * time.Millisecond)
			_, _ = file.Write(somePackets(100, 1))
			file.Close()
		}()
		if packets := countAll(t, f); packets != 101 {
			t.Errorf("%d packets, wanted 101", packets)
		}
	})
}

func TestFollowEndsWithItsFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "live")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		follows := folderOf(folder, 0)
		list := follows.List
		follows.List = func() ([]string, error) {
			if _, err := os.Stat(folder); err != nil {
				return nil, gone
			}
			return list()
		}
		f := NewFollower(NewCaptures(files.NewPool(100, nil), 1e9, 0), follows, Options{Trouble: strict})
		defer f.Close()
		writer{t, folder}.rewrite("a", somePackets(0, 100))
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		packets, batch := 0, make([]stream.Packet, 100)
		for {
			n, err := f.Read(batch)
			packets += n
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if packets != 100 {
			t.Errorf("%d packets, wanted 100", packets)
		}
	})
}

func TestHoldsPacket(t *testing.T) {
	block := func(order binary.AppendByteOrder, kind uint32, body ...byte) (b []byte) {
		length := uint32(12 + len(body))
		return order.AppendUint32(append(order.AppendUint32(order.AppendUint32(nil, kind), length), body...), length)
	}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		section := block(order, sectionBlock, append(order.AppendUint32(nil, 0x1a2b3c4d), make([]byte, 12)...)...)
		headers := append(section, block(order, 1, make([]byte, 8)...)...)
		packet := block(order, 6, make([]byte, 120)...)
		whole := append(bytes.Clone(headers), packet...)
		for length := range whole {
			if got, want := holdsPacket(whole[:length]), length >= len(headers)+packetBlockHeader; got != want {
				t.Errorf("%v: %v with %d bytes of %d", order, got, length, len(whole))
			}
		}
	}
	if pcap := somePackets(0, 1); holdsPacket(pcap[:39]) || !holdsPacket(pcap[:40]) {
		t.Error("pcap")
	}
}

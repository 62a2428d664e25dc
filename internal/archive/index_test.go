package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"pcap-replay/internal/lab"
	"pcap-replay/stream"
)

// noisyTar makes a tarball of files with all kinds of data, and returns its members.
func noisyTar(t testing.TB, files, size int) (tarball []byte, pairs []string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range files {
		data := []byte(capture(10))
		for len(data) < size {
			switch n := 1 + random.IntN(3000); random.IntN(3) {
			case 0:
				for range n {
					data = append(data, byte(random.Uint32()))
				}
			case 1:
				data = append(data, strings.Repeat("packet ", n/7)...)
			default:
				from := len(data) - random.IntN(min(len(data), 40_000))
				data = append(data, data[from:min(len(data), from+n)]...)
			}
		}
		pairs = append(pairs, fmt.Sprintf("day%d/capture.pcap", i), string(data))
	}
	return makeTar(t, pairs...), pairs
}

// buildIndex writes an archive and its index.
func buildIndex(t testing.TB, name string, archive []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, archive, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := indexFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func indexFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r, err := NewIndexingReader(file, file)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		_, err := r.Next()
		if err == io.EOF {
			return r.FinishIndex()
		}
		if err != nil && !isPassable(err) {
			return err
		}
		if err == nil {
			r.Inspect()
		}
	}
}

// checkIndexed reads everything by the index, in every way.
func checkIndexed(t *testing.T, path string, pairs []string) {
	t.Helper()
	x, err := OpenIndexed(path)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	members, err := membersOf(x)
	if err != nil {
		t.Fatal(err)
	}
	if len(members)*2 != len(pairs) {
		t.Fatalf("%d members, wanted %d", len(members), len(pairs)/2)
	}
	var each sync.WaitGroup
	for i, m := range members {
		each.Go(func() {
			data, err := x.Open(m)
			if err != nil {
				t.Errorf("%s: %v", m.Name, err)
				return
			}
			got, err := io.ReadAll(data)
			if err := errors.Join(err, data.Close()); err != nil || m.Name != pairs[2*i] || string(got) != pairs[2*i+1] {
				t.Errorf("%q: %d bytes of %d, error %v", m.Name, len(got), len(pairs[2*i+1]), err)
			}
			if m.Size > 0 && (!m.Content.IsCapture() || !m.Content.HasFirst) {
				t.Errorf("%q: content %+v", m.Name, m.Content)
			}
		})
	}
	each.Wait()
	archive, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Verify(bytes.NewReader(archive)); err != nil {
		t.Errorf("verify: %v", err)
	}
	for _, step := range []int{1, 2, 5} {
		var some []*Member
		for i := 0; i < len(members); i += step {
			some = append(some, members[i])
		}
		r := x.NewReader(some)
		for i := 0; ; i += step {
			m, err := r.Next()
			if err == io.EOF {
				if i < len(members) {
					t.Errorf("every %d: ended at %d", step, i)
				}
				break
			}
			if err != nil {
				t.Fatalf("every %d: %v", step, err)
			}
			if i%3 == 2 {
				continue // not read
			}
			stored, storedErr := r.Stored()
			got, err := io.ReadAll(r)
			checkStored(t, stored, storedErr, got, err)
			if isStored := stored != nil; isStored != (x.Compression() == stream.Uncompressed) {
				t.Errorf("%q: stored: %v", m.Name, isStored)
			}
			if err != nil || m.Name != pairs[2*i] || string(got) != pairs[2*i+1] {
				t.Fatalf("every %d: %q: %d bytes, error %v", step, m.Name, len(got), err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestIndexOfEveryCompression(t *testing.T) {
	_, pairs := noisyTar(t, 7, 250_000)
	pairs = append(pairs, "magics.pcap", capture(10)+string(lab.Bzip2Magics(350_000)))
	tarball := makeTar(t, pairs...)
	half := len(tarball) / 2
	archives := map[string][]byte{
		"plain.tar": tarball, "go.tar.gz": gzipped(t, tarball), "two.tar.gz": append(gzipped(t, tarball[:half]), gzipped(t, tarball[half:])...),
	}
	encoder, _ := zstd.NewWriter(nil)
	archives["frames.tar.zst"] = encoder.EncodeAll(tarball[half:], encoder.EncodeAll(tarball[:half], nil))
	for _, program := range [][]string{
		{"gzip", "-c"}, {"pigz", "-c"}, {"pigz", "-ic"}, {"igzip", "-c"}, {"igzip", "-0", "-c"}, {"bgzip", "-c"}, {"zstd", "-c"}, {"lz4", "-c"}, {"lz4", "-B4", "-c"}, {"lz4", "-B4", "--content-size", "-c"}, {"lz4", "-B4", "-BD", "-c"}, {"lz4", "-l", "-c"}, {"xz", "-0c"}, {"xz", "-0cT2", "--block-size=300000"}, {"bzip2", "-1c"},
	} {
		if _, err := exec.LookPath(program[0]); err != nil {
			continue
		}
		run := exec.Command(program[0], program[1:]...)
		run.Stdin = bytes.NewReader(tarball)
		compressed, err := run.Output()
		if err != nil {
			t.Fatal(err)
		}
		archives[strings.Join(program, "")] = compressed
	}
	// There is a point before each capture if the compression has blocks.
	points := map[string]int{"gzip-c": 2, "lz4-B4-c": 2, "xz-0cT2--block-size=300000": 2, "bzip2-1c": 2, "go.tar.gz": 2, "frames.tar.zst": 2}
	for name, archive := range archives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := buildIndex(t, name, archive)
			checkIndexed(t, path, pairs)
			info, err := os.Stat(IndexPath(path))
			if err != nil || info.Size() > int64(len(tarball)/1000+indexAllowance+2*maxWindowLength) {
				t.Errorf("index of %d bytes for %d, error %v", info.Size(), len(tarball), err)
			}
			if x, err := OpenIndexed(path); err != nil || len(x.points) < points[name] {
				t.Errorf("%d points, wanted %d, error %v", len(x.points), points[name], err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestIndexIsOfItsArchiveOnly(t *testing.T) {
	tarball, _ := noisyTar(t, 3, 300_000)
	archive := gzipped(t, tarball)
	path := buildIndex(t, "a.tar.gz", archive)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenIndexed(filepath.Join(filepath.Dir(path), "b.tar.gz")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no index: %v", err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := readAllIndexed(path); err != nil {
		t.Errorf("another time: %v", err)
	}
	changed := bytes.Clone(archive)
	changed[0] ^= 1
	os.WriteFile(path, changed, 0o666)
	os.Chtimes(path, time.Time{}, info.ModTime())
	if _, err := OpenIndexed(path); !errors.Is(err, ErrStale) {
		t.Errorf("another content: %v", err)
	}
	changed = bytes.Clone(archive)
	changed[len(archive)/2] ^= 1 // between two blocks that are looked at
	os.WriteFile(path, changed, 0o666)
	os.Chtimes(path, time.Time{}, info.ModTime())
	bad := (*IndexError)(nil)
	if _, err := readAllIndexed(path); !errors.As(err, &bad) {
		t.Errorf("another content in the middle: %v", err)
	}
	x, err := OpenIndexed(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Verify(bytes.NewReader(changed)); err == nil {
		t.Error("another content in the middle: verified")
	}
	x.Close()
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(path, time.Time{}, info.ModTime())
	if _, err := OpenIndexed(path); !errors.Is(err, ErrStale) {
		t.Errorf("another size: %v", err)
	}
}

// damagedArchives are truncated and damaged tarballs, in every compression of this machine.
func damagedArchives(t *testing.T) map[string][]byte {
	tarball, _ := noisyTar(t, 4, 200_000)
	header := 2 * (blockSize + int(roundUp(int64(len(tarball)-2*blockSize)/4-blockSize)))
	broken := bytes.Clone(tarball)
	copy(broken[header:], bytes.Repeat([]byte("x"), 2000))
	tarballs := map[string][]byte{
		"whole": tarball, "member": tarball[:len(tarball)/2], "header": tarball[:header+100], "end": tarball[:len(tarball)-2*blockSize],
		"padding": tarball[:len(tarball)-2*blockSize-10], "broken": broken, "both": broken[:len(broken)*3/4],
	}
	archives := map[string][]byte{}
	for name, data := range tarballs {
		archives[name+".tar"] = data
		for compression, program := range map[string][]string{
			"gz": {"gzip", "-1c"}, "bz2": {"bzip2", "-1c"}, "xz": {"xz", "-0c", "--block-size=100000"}, "zst": {"zstd", "-c"}, "lz4": {"lz4", "-B4", "-c"},
		} {
			if _, err := exec.LookPath(program[0]); err != nil {
				continue
			}
			run := exec.Command(program[0], program[1:]...)
			run.Stdin = bytes.NewReader(data)
			compressed, err := run.Output()
			if err != nil {
				t.Fatal(err)
			}
			archives[name+".tar."+compression] = compressed
			if name == "whole" {
				archives["cut.tar."+compression] = compressed[:len(compressed)*2/3]
				flipped := bytes.Clone(compressed)
				flipped[len(flipped)/2] ^= 0x10
				archives["flipped.tar."+compression] = flipped
			}
		}
	}
	return archives
}

// An index of a damaged tarball has the members that can be read, and the damage.
func TestIndexOfDamagedTarballs(t *testing.T) {
	for name, archive := range damagedArchives(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members, said := walk(t, archive)
			var damages []*Damage
			for _, err := range said {
				if damage := (*Damage)(nil); errors.As(err, &damage) {
					damages = append(damages, damage)
				}
			}
			if !strings.HasPrefix(name, "whole") && len(damages) == 0 {
				t.Fatalf("no damage: %v", said)
			}
			x, err := OpenIndexed(buildIndex(t, name, archive))
			if err != nil {
				t.Fatal(err)
			}
			defer x.Close()
			if got := x.Damages(); len(got) != len(damages) {
				t.Fatalf("%d damages, wanted %d: %v", len(got), len(damages), damages)
			}
			for i, got := range x.Damages() {
				if got.Error() != damages[i].Error() || got.Truncated != damages[i].Truncated || got.Member != damages[i].Member {
					t.Errorf("damage %d: %v, wanted %v", i+1, got, damages[i])
				}
			}
			if err := x.Verify(bytes.NewReader(archive)); err != nil {
				t.Errorf("verify: %v", err)
			}
			indexed, err := membersOf(x)
			if err != nil {
				t.Fatal(err)
			}
			if len(indexed) != len(members) {
				t.Fatalf("%d members, wanted %d", len(indexed), len(members))
			}
			r := x.NewReader(indexed)
			defer r.Close()
			for _, want := range members {
				m, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				data, err := io.ReadAll(r)
				var damage *Damage
				if err != nil && !errors.As(err, &damage) {
					t.Fatal(err)
				}
				if m.Name != want.Name || m.Header != want.Header || !bytes.Equal(data, want.data) {
					t.Errorf("%q at %d: %d bytes, wanted %q at %d: %d bytes", m.Name, m.Header, len(data), want.Name, want.Header, len(want.data))
				}
				opened, err := x.Open(m)
				if err != nil {
					t.Fatal(err)
				}
				alone, err := io.ReadAll(opened)
				opened.Close()
				if !bytes.Equal(alone, want.data) || err != nil && !errors.As(err, &damage) {
					t.Errorf("%q alone: %d bytes, wanted %d, error %v", m.Name, len(alone), len(want.data), err)
				}
			}
			if _, err := r.Next(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

// TestDamagedIndexGivesNoWrongBytes changes an index in many ways. Either it is refused, or
// the data that is read is correct.
func TestDamagedIndexGivesNoWrongBytes(t *testing.T) {
	tarball, pairs := noisyTar(t, 3, 150_000)
	path := buildIndex(t, "a.tar.gz", gzipped(t, tarball))
	index, err := os.ReadFile(IndexPath(path))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	try := func(what string, changed []byte) {
		if err := os.WriteFile(IndexPath(path), changed, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := readAllIndexed(path)
		if err != nil {
			refused++
			return
		}
		for i, data := range got {
			if data != pairs[2*i+1] {
				t.Fatalf("%s: wrong bytes of %q", what, pairs[2*i])
			}
		}
	}
	step := max(1, len(index)/120)
	tries := 0
	for i := 0; i < len(index); i += step {
		changed := bytes.Clone(index)
		changed[i] ^= 1 << (i % 8)
		try(fmt.Sprintf("byte %d", i), changed)
		try(fmt.Sprintf("cut at %d", i), index[:i])
		tries += 2
	}
	if refused < tries/2 {
		t.Errorf("%d of %d refused", refused, tries)
	}
}

func membersOf(x *Indexed) (members []*Member, err error) {
	err = x.Each(func(m *Member) error {
		members = append(members, m)
		return nil
	})
	return members, err
}

func readAllIndexed(path string) (contents []string, err error) {
	x, err := OpenIndexed(path)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	members, err := membersOf(x)
	if err != nil {
		return nil, err
	}
	r := x.NewReader(members)
	defer r.Close()
	for {
		if _, err := r.Next(); err == io.EOF {
			return contents, nil
		} else if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		contents = append(contents, string(data))
	}
}

func TestSumBetween(t *testing.T) {
	data := []byte(capture(100))
	for _, place := range []int{0, 1, 100, 5000, len(data)} {
		var before, both, want cellSums
		before.add(data[:place])
		both.add(data)
		want.add(data[place:])
		if got := sumBetween(before.sum, both.sum, int64(len(data)-place)); got != want.sum {
			t.Errorf("from %d on: %08x, wanted %08x", place, got, want.sum)
		}
	}
}

// The reason of a damage has the name of the member, which may be long. The index has its
// beginning, and refuses a longer one: 10,000 of them would take 10 GiB of memory.
func TestReasonsInAnIndexAreShort(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: strings.Repeat("\x01", 500<<10), Size: 1000, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	b.Write(make([]byte, 100)) // the tarball ends inside the member
	path := buildIndex(t, "a.tar.gz", gzipped(t, b.Bytes()))
	x, err := OpenIndexed(path)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	damages := x.Damages()
	if len(damages) != 1 || len(damages[0].Reason) != maxReasonLength || !strings.HasPrefix(damages[0].Reason, "the tarball ends inside member") {
		t.Errorf("damages: %.200v", damages)
	}

	forged := append([]byte{0, 0, 1, 0}, binary.AppendUvarint(nil, maxReasonLength+1)...)
	r := &memberReader{src: bufio.NewReader(bytes.NewReader(append(forged, make([]byte, maxReasonLength+1)...)))}
	if d := r.damage(); r.err == nil {
		t.Errorf("a reason of %d bytes was read", len(d.Reason))
	}
}

package files

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A NameList gives back any names, in any order.
func TestNameList(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, kind := range []func(i int) string{
		func(i int) string { return fmt.Sprintf("captures/%06d.pcap", i) },
		func(i int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)})) },
		func(i int) string { return strings.Repeat("x", i%300) },
		func(i int) string { return string([]byte{0, 0xff, byte(i)}) },
		func(int) string { return "" },
	} {
		var list NameList
		var want []string
		for i := range 3*namesInGroup + 5 {
			want = append(want, kind(i))
			if number := list.Add(want[i]); number != i || list.Len() != i+1 {
				t.Fatalf("number %d of %d, wanted %d", number, list.Len(), i)
			}
		}
		if got := slices.Collect(list.All()); !slices.Equal(got, want) {
			t.Errorf("got %q, wanted %q", got, want)
		}
		for range 1000 {
			if i := random.IntN(len(want)); list.At(i) != want[i] {
				t.Fatalf("%d: %q, wanted %q", i, list.At(i), want[i])
			}
		}
		list.Forget(namesInGroup + 1)
		want = want[namesInGroup:]
		for i := range want {
			if got := list.At(namesInGroup + i); got != want[i] {
				t.Fatalf("%d: %q after names before it are forgotten, wanted %q", i, got, want[i])
			}
		}
	}
}

// Names take a small part of their length.
func TestNameListIsSmall(t *testing.T) {
	const names = 100_000
	for pad, most := range map[int]uint64{0: 12, 170: 24} {
		before, after := new(runtime.MemStats), new(runtime.MemStats)
		runtime.GC()
		runtime.ReadMemStats(before)
		var list NameList
		for i := range names {
			list.Add(fmt.Sprintf("/captures/plant-7/%s/2026-11-28T12-%06d.pcap", strings.Repeat("eth0-", pad/5), i))
		}
		runtime.GC()
		runtime.ReadMemStats(after)
		if each := (after.HeapAlloc - before.HeapAlloc) / names; each > most {
			t.Errorf("%d bytes a name, wanted up to %d", each, most)
		}
		runtime.KeepAlive(&list)
	}
}

func BenchmarkNameList(b *testing.B) {
	var list NameList
	for i := range 100_000 {
		list.Add(fmt.Sprintf("/captures/plant-7/2026-11-28T12-%06d.pcap", i))
	}
	b.Run("add", func(b *testing.B) {
		var list NameList
		for b.Loop() {
			list.Add("/captures/plant-7/2026-11-28T12-000000.pcap")
		}
	})
	b.Run("next", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			list.At(i % 100_000)
		}
	})
	b.Run("random", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			list.At(i * 7919 % 100_000)
		}
	})
}

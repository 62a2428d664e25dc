package merge

import (
	"math/rand/v2"
	"testing"
)

// TestTournament adds, advances and removes sources at random, and compares the winner with
// the result of a linear search.
func TestTournament(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var tree tournament
	type entry struct {
		order int32
		time  int64
	}
	entries := map[int32]entry{}
	for step := range 20000 {
		time := random.Int64N(50) - 25
		switch action := random.IntN(10); {
		case action < 2 || len(entries) == 0:
			order := int32(step)
			entries[tree.enter(order, time)] = entry{order, time}
		case action < 4 && len(entries) > 0 && step%3 != 0:
			leaf := tree.winner()
			delete(entries, leaf)
			tree.leave(leaf)
		default:
			leaf := tree.winner()
			entries[leaf] = entry{entries[leaf].order, time}
			tree.update(leaf, time)
		}
		if tree.empty() != (len(entries) == 0) {
			t.Fatalf("step %d: empty is %v with %d entries", step, tree.empty(), len(entries))
		}
		if tree.empty() {
			continue
		}
		winner := tree.winner()
		won, ok := entries[winner]
		if !ok || tree.time(winner) != won.time {
			t.Fatalf("step %d: leaf %d won, which is not there", step, winner)
		}
		for leaf, e := range entries {
			if e.time < won.time || e.time == won.time && e.order < won.order {
				t.Fatalf("step %d: leaf %d won, but leaf %d is before it", step, winner, leaf)
			}
		}
	}
}

func BenchmarkTournament(b *testing.B) {
	for _, sources := range []int{2, 8, 32, 1000} {
		b.Run("", func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 1))
			var tree tournament
			for i := range sources {
				tree.enter(int32(i), random.Int64N(1000))
			}
			var steps [4096]int64
			for i := range steps {
				steps[i] = random.Int64N(2000)
			}
			b.ResetTimer()
			for i := range b.N {
				leaf := tree.winner()
				tree.update(leaf, tree.time(leaf)+steps[i%len(steps)])
			}
		})
	}
}

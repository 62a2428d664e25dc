package chart

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// group is the captures that share a line of the picture.
type group struct {
	name   string
	rows   []captureRow
	others int // captures besides those that the name means
}

// label is the name below a folder, and the number of other captures.
func (g *group) label(folder string) string {
	label := strings.TrimPrefix(g.name, folder)
	if g.others > 0 {
		label += fmt.Sprintf(" +%d", g.others)
	}
	return label
}

// groups divides the captures among at most limit lines: a line for each capture if there is
// room, else a line for each writer, else several of these in a line. A limit of 0 means no
// limit. Up to own captures have lines of their own.
func (p *Picture) groups(own, limit int) []group {
	lines := make([]group, len(p.rows))
	for i, row := range p.rows {
		lines[i] = group{name: row.name, rows: p.rows[i : i+1]}
	}
	if own > 0 && len(lines) > own {
		lines = p.writers()
	}
	if limit == 0 || len(lines) <= limit {
		return lines
	}
	var shared []group
	for chunk := range slices.Chunk(lines, (len(lines)+limit-1)/limit) {
		line := group{name: chunk[0].name, rows: slices.Clone(chunk[0].rows)}
		for _, other := range chunk[1:] {
			line.rows = append(line.rows, other.rows...)
			line.others += len(other.rows)
		}
		shared = append(shared, line)
	}
	return shared
}

// numbers finds what differs between the names of one writer: counters and times.
var numbers = regexp.MustCompile(`[0-9]+`)

// writers returns a group for each writer. A writer writes one file after another, so its
// captures do not overlap in time, and their names differ only in numbers.
func (p *Picture) writers() []group {
	var keys []string
	alike := map[string][]captureRow{} // by name without its numbers
	for _, row := range p.rows {
		key := numbers.ReplaceAllLiteralString(row.name, "#")
		if alike[key] == nil {
			keys = append(keys, key)
		}
		alike[key] = append(alike[key], row)
	}
	var groups []group
	for _, key := range keys {
		groups = append(groups, writersOf(alike[key])...)
	}
	return groups
}

// writersOf divides captures whose names differ only in numbers among writers. Some of the
// numbers may name the writer: if without overlap one number or the first few do, they do.
// Otherwise the times alone decide.
func writersOf(rows []captureRow) []group {
	count := len(numbers.FindAllStringIndex(rows[0].name, -1))
	identities := [][2]int{{0, 0}} // the first and the last number that name the writer
	for i := range count {
		identities = append(identities, [2]int{i, i + 1})
	}
	for i := 2; i < count; i++ {
		identities = append(identities, [2]int{0, i})
	}
	for _, identity := range identities {
		if sets := divide(rows, identity); len(sets) < len(rows) && !slices.ContainsFunc(sets, overlap) {
			return namedGroups(sets)
		}
	}
	return namedGroups(packed(rows))
}

// divide groups captures by the numbers of their names from identity[0] up to identity[1].
func divide(rows []captureRow, identity [2]int) (sets [][]captureRow) {
	places := map[string]int{}
	for _, row := range rows {
		key := strings.Join(numbers.FindAllString(row.name, -1)[identity[0]:identity[1]], " ")
		place, known := places[key]
		if !known {
			place = len(sets)
			places[key], sets = place, append(sets, nil)
		}
		sets[place] = append(sets[place], row)
	}
	return sets
}

// overlap reports whether two of the captures run at the same time.
func overlap(rows []captureRow) bool {
	rows = inOrder(rows)
	for i := 1; i < len(rows); i++ {
		if rows[i].timed && rows[i-1].timed && rows[i].start < rows[i-1].end {
			return true
		}
	}
	return false
}

// inOrder sorts captures by their start. Those without times come first.
func inOrder(rows []captureRow) []captureRow {
	return slices.SortedStableFunc(slices.Values(rows), func(a, b captureRow) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
}

// packed divides captures among as few sets without overlap as possible. A capture
// continues the set that ended last before it starts.
func packed(rows []captureRow) (sets [][]captureRow) {
	var ends []int64 // of the sets
	for _, row := range inOrder(rows) {
		best := -1
		for i, end := range ends {
			if end <= row.start && (best < 0 || end > ends[best]) {
				best = i
			}
		}
		if best < 0 {
			best, sets, ends = len(sets), append(sets, nil), append(ends, 0)
		}
		sets[best], ends[best] = append(sets[best], row), row.end
	}
	return sets
}

// namedGroups names each set by what its names have in common. If two sets have the same
// name, all sets are numbered.
func namedGroups(sets [][]captureRow) []group {
	groups, names := make([]group, len(sets)), map[string]bool{}
	for i, set := range sets {
		groups[i] = group{name: commonName(set), rows: set}
		names[groups[i].name] = true
	}
	for i := range groups {
		if len(names) < len(groups) {
			groups[i].name += fmt.Sprintf(" #%d", i+1)
		}
		if files := len(groups[i].rows); files > 1 {
			groups[i].name += fmt.Sprintf(" (%d)", files)
		}
	}
	return groups
}

// commonName is a name in which a * replaces the numbers that differ, and what is between
// them.
func commonName(rows []captureRow) string {
	name := rows[0].name
	first, last := len(name), 0
	places := numbers.FindAllStringIndex(name, -1)
	for _, row := range rows[1:] {
		for i, number := range numbers.FindAllString(row.name, -1) {
			if place := places[i]; number != name[place[0]:place[1]] {
				first, last = min(first, place[0]), max(last, place[1])
			}
		}
	}
	if last == 0 {
		return name
	}
	return name[:first] + "*" + name[last:]
}

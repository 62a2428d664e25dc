package input

import (
	"strings"
	"testing"
	"time"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/tool"
)

func selectionOf(t *testing.T, text string) ([]Selected, error) {
	t.Helper()
	return ReadSelection(&Opener{In: strings.NewReader(text), Claims: &tool.Claims{}}, "-")
}

func TestSelectionTakesRecordsOfMapAndTarls(t *testing.T) {
	selection, err := selectionOf(t, `{"path":"a.pcap","first":"2020-09-13T12:26:40.000000001Z","earliest":"2020-09-13T12:26:40Z","latest":"2020-09-13T12:26:41Z","new_field":[1]}

{"archive":"set.tar.gz","name":"dir/","type":"directory"}
{"archive":"set.tar.gz","name":"dir/b\ufffd.pcap","name_b64":"ZGlyL2L/LnBjYXA=","type":"file","offset":512}
{"archive":"x","archive_b64":"eA==","path":"c.pcap"}
`)
	if err != nil || len(selection) != 3 {
		t.Fatalf("got %d records, error %v, wanted 3", len(selection), err)
	}
	a, b, c := selection[0], selection[1], selection[2]
	if a.Path != "a.pcap" || a.Archive != "" || *a.First != 1600000000e9+1 || *a.Earliest != 1600000000e9 || *a.Latest != 1600000001e9 || a.Offset != nil {
		t.Errorf("first record: %+v", a)
	}
	if b.Path != "dir/b\xff.pcap" || b.Archive != "set.tar.gz" || *b.Offset != 512 || b.First != nil {
		t.Errorf("member: %+v", b)
	}
	if c.Path != "c.pcap" || c.Archive != "x" {
		t.Errorf("capture in an archive: %+v", c)
	}
}

func TestSelectionRefusesWhatIsNoRecord(t *testing.T) {
	for text, want := range map[string]string{
		"{\n":                              "stdin: line 1: not a record",
		"{\"path\":\"a\"}\nnope\n":         "stdin: line 2: not a record",
		"{\"path\":\"a\"}\n{\"size\":1}\n": "stdin: line 2: the record has neither a path nor a name",
		"null\n":                           "stdin: line 1: not a record: begins with \"null\"",
		"\"a.pcap\"\n":                     "stdin: line 1: not a record",
		"{\"path\":\"a\",\"first\":\"monday\"}\n": "stdin: line 1: not a record",
		"{\"path\":\"a\"}{\"path\":\"b\"}\n":      "stdin: line 1: not a record",
	} {
		_, err := selectionOf(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, wanted %q", text, err, want)
		}
	}
}

// Very many members may have the same name. Looking at all of their records for each member
// would take minutes.
func TestSelectionOfMembersWithOneName(t *testing.T) {
	const count = 200_000
	begin := time.Now()
	var w Wanted
	for i := range int64(count) {
		w.AddRecord(&Selected{Path: "a.pcap", Archive: "set.tar", Offset: &i, Shift: i})
	}
	for i := range int64(count) {
		m := &archive.Member{Name: "a.pcap", Offset: i}
		wanted, exactly := w.Find(m)
		if shifts := w.ShiftsOf(m); !wanted || !exactly || !w.MayWant(m) || w.Compare(m) != nil || len(shifts) != 1 || shifts[0] != i {
			t.Fatalf("member at %d: wanted %v, exactly %v, moved by %v", i, wanted, exactly, shifts)
		}
	}
	if wanted, _ := w.Find(&archive.Member{Name: "a.pcap", Offset: count}); wanted || !w.IsComplete() {
		t.Errorf("a member without a record is wanted: %v, all are found: %v", wanted, w.IsComplete())
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

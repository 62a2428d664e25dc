package input

import (
	"errors"
	"fmt"
	"io"
	"os"

	"pcap-replay/internal/archive"
	"pcap-replay/internal/files"
	"pcap-replay/internal/record"
	"pcap-replay/internal/tool"
)

// Selected is one capture of a selection. Fields that the record does not have are nil.
type Selected struct {
	Path    string // below Archive, if that is set
	Archive string // "" for a file of its own
	// First is the time of the first packet. Earliest and Latest are the range of all
	// packets. All are in nanoseconds since the Unix epoch.
	First, Earliest, Latest *int64
	// Shift is by how much the capture is moved, in nanoseconds.
	Shift int64
	// Size is the size of the file or of the member's data, in bytes.
	Size *int64
	// Offset is where a member's data begins in the uncompressed archive.
	Offset   *int64
	LinkType *uint16
	Sections int
	// OutOfOrder is the number of packets that follow a later one, and MaxDisorder the
	// largest disorder in seconds.
	OutOfOrder  *int64
	MaxDisorder float64
	// IsOther means that pcap-tarls found that the member is not a capture.
	IsOther bool
}

// file is the file that has to be read for the capture.
func (s *Selected) file() string {
	if s.Archive != "" {
		return s.Archive
	}
	return s.Path
}

// Range returns the range of all packets as the shift moves it. An unknown end is nil.
func (s *Selected) Range() (earliest, latest *int64) {
	return s.shifted(s.Earliest), s.shifted(s.Latest)
}

// shifted returns a time as the shift moves it, or nil if there is none.
func (s *Selected) shifted(moment *int64) *int64 {
	if moment == nil {
		return nil
	}
	moved, ok := record.Time(*moment).Add(record.Shift(s.Shift))
	if !ok {
		return nil
	}
	return (*int64)(&moved)
}

// isShiftable reports whether the shift moves all times of the record to times.
func (s *Selected) isShiftable() bool {
	for _, moment := range []*int64{s.First, s.Earliest, s.Latest} {
		if moment != nil && s.shifted(moment) == nil {
			return false
		}
	}
	return true
}

// selectionRecord has the fields of the records of pcap-map and pcap-tarls that a selection
// needs. Other fields are ignored.
type selectionRecord struct {
	Path       string       `json:"path"`
	PathRaw    []byte       `json:"path_b64"`
	Name       string       `json:"name"` // path of a member in records of pcap-tarls
	NameRaw    []byte       `json:"name_b64"`
	Archive    string       `json:"archive"`
	ArchiveRaw []byte       `json:"archive_b64"`
	Type       string       `json:"type"` // type of a member in records of pcap-tarls
	Format     string       `json:"format"`
	Size       *int64       `json:"size"`
	Offset     *int64       `json:"offset"`
	First      *record.Time `json:"first"`
	Earliest   *record.Time `json:"earliest"`
	Latest     *record.Time `json:"latest"`
	Shift      record.Shift `json:"shift"`

	LinkType    *uint16 `json:"link_type"`
	Sections    int     `json:"sections"`
	OutOfOrder  *int64  `json:"out_of_order"`
	MaxDisorder float64 `json:"max_disorder"`
}

// ReadSelection reads records of pcap-map or pcap-tarls from a file, or from stdin ("-").
// It skips folders, links and other members without data. If it cannot read the whole
// selection, this is a usage error, because half of a selection is of no use.
func ReadSelection(opener *Opener, name string) ([]Selected, error) {
	src, err := OpenRecords(opener, name)
	if err != nil {
		return nil, tool.UsageErrorf("--select %w", files.Named(name, err))
	}
	defer src.Close()
	var selection []Selected
	decoder := record.NewDecoder(src)
	for {
		var r selectionRecord
		err := decoder.Decode(&r)
		if err == io.EOF {
			return selection, nil
		}
		if err != nil {
			return nil, RecordsError("--select", name, err, "wanted the records of pcap-map or pcap-tarls, one a line (jq -c)")
		}
		if r.Type != "" && r.Type != "file" {
			continue
		}
		s := r.selected()
		if s.Path == "" {
			return nil, tool.UsageErrorf("--select %s: line %d: the record has neither a path nor a name", files.Display(name, ""), decoder.Line())
		}
		if !s.isShiftable() {
			return nil, tool.UsageErrorf("--select %s: line %d: a shift of %v s moves the capture outside 1677 to 2262", files.Display(name, ""), decoder.Line(), record.Seconds(s.Shift))
		}
		if err := s.checkClaims(opener.Claims); err != nil {
			return nil, err
		}
		selection = append(selection, s)
	}
}

// checkClaims refuses a record of a file that is an output. The index of a tarball is read,
// too.
func (s *Selected) checkClaims(claims *tool.Claims) error {
	err := claims.Check(s.file())
	if err == nil && s.Archive != "" {
		err = claims.Check(archive.IndexPath(s.Archive))
	}
	return err
}

// RecordsError is the error of invalid records. It is a usage error if they could be read.
func RecordsError(flag, name string, err error, hint string) error {
	var unread *record.ReadError
	if errors.As(err, &unread) {
		return fmt.Errorf("%s %w", flag, files.Named(name, err))
	}
	return tool.UsageErrorf("%s %w", flag, files.Named(name, err)).WithHint(hint)
}

func (r *selectionRecord) selected() Selected {
	path := record.Name(r.Path, r.PathRaw)
	if path == "" {
		path = record.Name(r.Name, r.NameRaw)
	}
	return Selected{
		Path: path, Archive: record.Name(r.Archive, r.ArchiveRaw), Size: r.Size, Offset: r.Offset,
		First: (*int64)(r.First), Earliest: (*int64)(r.Earliest), Latest: (*int64)(r.Latest), Shift: int64(r.Shift),
		LinkType: r.LinkType, Sections: r.Sections, OutOfOrder: r.OutOfOrder, MaxDisorder: r.MaxDisorder,
		IsOther: r.Type != "" && r.Format == "" && r.Size != nil && *r.Size > 0,
	}
}

// OpenRecords opens a file of records, or stdin ("-").
func OpenRecords(opener *Opener, name string) (io.ReadCloser, error) {
	if name == "-" && tool.IsTerminal(opener.In) {
		return nil, errors.New("is a terminal")
	}
	if name == "-" {
		return io.NopCloser(opener.In), nil
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil, tool.WithHint(files.ErrFolder, files.QuoteLine([]string{"pcap-map", name})+" > map.ndjson makes its records")
	}
	return os.Open(name)
}

package tool

import (
	"bytes"
	"strings"
	"testing"

	"pcap-replay/internal/record"
)

// A goroutine that a run did not wait for may have one more event.
func TestTheSummaryEndsTheReport(t *testing.T) {
	var out bytes.Buffer
	report := Report{tool: "pcap-map", encoder: record.NewEncoder(&out)}
	report.Failed("a.pcap", "", "gone")
	report.End(record.Summary{Event: "summary"})
	report.Failed("b.pcap", "", "gone")
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "summary") {
		t.Errorf("wrote %q", lines)
	}
}

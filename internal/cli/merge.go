package cli

// Merge is pcap-merge.
func Merge() *Tool { return &Tool{Name: "pcap-merge", Run: func(*job) error { return errReported }} }

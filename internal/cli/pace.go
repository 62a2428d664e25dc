package cli

// Pace is pcap-pace.
func Pace() *Tool { return &Tool{Name: "pcap-pace", Run: func(*job) error { return errReported }} }

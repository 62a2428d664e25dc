package cli

// Map is pcap-map.
func Map() *Tool { return &Tool{Name: "pcap-map", Run: func(*job) error { return errReported }} }

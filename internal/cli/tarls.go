package cli

// TarLs is pcap-tarls.
func TarLs() *Tool { return &Tool{Name: "pcap-tarls", Run: func(*job) error { return errReported }} }

package cli

// TarCat is pcap-tarcat.
func TarCat() *Tool { return &Tool{Name: "pcap-tarcat", Run: func(*job) error { return errReported }} }

package cli

// Inject is pcap-inject.
func Inject() *Tool { return &Tool{Name: "pcap-inject", Run: func(*job) error { return errReported }} }

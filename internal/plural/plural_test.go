package plural

import "testing"

func TestOf(t *testing.T) {
	for want, got := range map[string]string{
		"0 packets": Of(0, "packet"), "1 packet": Of(int64(1), "packet"), "2 packets": Of(uint32(2), "packet"),
		"18446744073709551615 bytes": Of(^uint64(0), "byte"),
	} {
		if got != want {
			t.Errorf("%q, wanted %q", got, want)
		}
	}
}

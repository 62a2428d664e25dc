package filter
import ("testing";"strings")
func TestScratch(t *testing.T) {
	useTestNames(t)
	o := newLibpcap(t)
	links := linkTypesByName()
	for _, test := range readLibpcapTests(t, "accept.json") {
		link, ok := links[test.DLT]
		if !ok || test.notCompared() != "" { continue }
		for _, e := range test.Aliases {
			if strings.Contains(e, "libpcap.test") || strings.Contains(e,"LIBPCAP") {continue}
			if _, err := o.compile(e, link); err != nil { continue }
			checkAgainst(t, o, e, link)
		}
	}
}

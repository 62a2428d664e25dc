//go:build linux

package main

func benchMap(b *bench) {
	b.makeImix()
	b.contestOfMap("map: 35 files", "imix", "3.5")
	b.makeTenth()
	b.contestOfMap("map: 35 files, a tenth of the size", "tenth", "3.5")
	b.makeSmall()
	b.contestOfMap("map: small packets", "small", "3.5")
	b.discard("small", "tenth")
	b.makeCompressed("imix-gz", "gzip", "gz")
	b.contestOfMap("map: gzipped", "imix-gz", "1.8")
	b.discard("imix-gz")
	if has("lz4") {
		b.makeCompressed("imix-lz4", "lz4", "lz4")
		b.contestOfMap("map: lz4", "imix-lz4", "1.8")
		b.discard("imix-lz4")
	} else {
		say("map: lz4: left out: no lz4")
	}
	b.makeMany()
	b.contestOfMap("map: 10,000 files", "many", "2")
}

// contestOfMap compares pcap-map with capinfos, which is to take so many times as long.
func (b *bench) contestOfMap(title, folder, ratio string) {
	if has("capinfos") && has("jq") {
		b.same(title, said("pcap-map "+folder+` | jq -r 'def t: sub("T"; " ") | sub("Z"; ""); [.path, .packets, .bytes, (.first | t), (.last | t)] | join(",")' | LC_ALL=C sort`),
			said("TZ=UTC capinfos -TrmcdaeK "+folder+"/* | LC_ALL=C sort"))
	} else {
		say("%s: not checked: no capinfos or no jq", title)
	}
	c := b.contest(title)
	c.ours("pcap-map", "pcap-map "+folder+" > /dev/null")
	c.peer("capinfos", "capinfos", "capinfos -aeucs "+folder+"/* > /dev/null")
	c.want("time capinfos/pcap-map >= " + ratio)
	c.race(b.packetsOf(folder))
}

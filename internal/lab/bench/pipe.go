//go:build linux

package main

func benchPipe(b *bench) {
	b.makeWire()
	b.makeMerged()
	b.makeTar()
	c := b.contest("pipe: all tools into a veth, as fast as it goes")
	c.before = b.rested()
	c.ours("files", "pcap-merge imix | pcap-pace --asap | pcap-inject --asap -i wire0")
	c.ours("tarball", "pcap-tarcat imix.tar | pcap-merge | pcap-pace --asap | pcap-inject --asap -i wire0")
	c.tcpreplays("", "-t -q -i wire0 merged.pcap")
	c.want("missing files|tarball <= 0")
	c.want("time tcpreplay/files >= 1")
	c.want("time tcpreplay/tarball >= 1")
	c.speed(sendingEnd, b.packetsOf("merged.pcap"))
	b.discard("imix.tar", "merged.pcap")
}

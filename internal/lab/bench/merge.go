//go:build linux

package main

import "fmt"

func benchMerge(b *bench) {
	b.makeImix()
	packets := b.packetsOf("imix")
	b.mergesAlike("merge: 35 files", "imix")
	c := b.contest("merge: 35 files to /dev/null")
	c.ours("pcap-merge", "pcap-merge imix > /dev/null")
	c.peer("mergecap", "mergecap", "mergecap -F nsecpcap -w /dev/null imix/*")
	c.peer("tcpslice", "tcpslice", "tcpslice -w /dev/null imix/*")
	c.want("time mergecap/pcap-merge >= 2.8")
	c.want("time tcpslice/pcap-merge >= 3")
	c.race(packets)

	c = b.contest("merge: 35 files to a file")
	out := scratch + "/out.pcap"
	c.before = "rm -f " + out + "; " + b.rested()
	c.ours("pcap-merge", "pcap-merge -o "+out+" imix")
	c.peer("mergecap", "mergecap", "mergecap -F nsecpcap -w "+out+" imix/*")
	c.want("time mergecap/pcap-merge >= 1.8")
	c.race(packets)
	b.do(bash("rm -f " + out))

	c = b.contest("merge: 35 files into a pipe")
	c.ours("pcap-merge", "pcap-merge imix | cat > /dev/null")
	c.peer("mergecap", "mergecap", "mergecap -F nsecpcap -w - imix/* | cat > /dev/null")
	c.want("time mergecap/pcap-merge >= 2")
	c.race(packets)

	b.makeTenth()
	c = b.contest("merge: ten times the size")
	c.ours("whole", "pcap-merge imix > /dev/null")
	c.ours("tenth", "pcap-merge tenth > /dev/null")
	c.want("time whole/tenth <= 11")
	c.want("peak whole/tenth <= 1.5")
	c.race(0)
	b.discard("tenth")

	// What is over an eighth goes into a file.
	sections := fmt.Sprintf("cat imix/* | pcap-merge --memory %d --tmp %s", b.size/8, scratch)
	b.same("merge: sections on stdin", digested(sections), digested("pcap-merge imix"))
	c = b.contest("merge: sections on stdin, larger than --memory")
	c.before = b.rested()
	c.ours("sections", sections+" > /dev/null")
	c.ours("files", "pcap-merge imix > /dev/null")
	c.want("time sections/files <= 2")
	c.race(packets)

	b.makeCompressed("imix-gz", "gzip", "gz")
	b.mergesAlike("merge: gzipped", "imix-gz")
	c = b.contest("merge: 35 gzipped files to /dev/null")
	c.ours("pcap-merge", "pcap-merge imix-gz > /dev/null")
	c.peer("mergecap", "mergecap", "mergecap -F nsecpcap -w /dev/null imix-gz/*")
	c.race(packets)
	b.discard("imix-gz")

	b.mergeManyFiles()

	b.makeSmall()
	b.mergesAlike("merge: small packets", "small")
	c = b.contest("merge: small packets on one core")
	c.ours("pcap-merge", "taskset -c 1 pcap-merge small > /dev/null")
	c.peer("mergecap", "mergecap", "taskset -c 1 mergecap -F nsecpcap -w /dev/null small/*")
	c.want("mpps pcap-merge >= 8")
	c.race(b.packetsOf("small"))
	b.discard("small")
}

func (b *bench) mergeManyFiles() {
	b.makeMany()
	c := b.contest("merge: 10,000 files, 256 descriptors")
	c.ours("pcap-merge", "ulimit -n 256; pcap-merge many > /dev/null")
	const needed = manyFiles + 100 // mergecap opens all of them at once
	if mayOpen(needed) {
		raise := fmt.Sprintf("ulimit -n %d; ", needed)
		if has("mergecap") {
			b.same(c.title, digested("pcap-merge many"), digested(raise+"mergecap -F nsecpcap -w - many/*"))
		}
		c.peer("mergecap", "mergecap", raise+"mergecap -F nsecpcap -w /dev/null many/*")
	} else {
		c.leaveOut("mergecap: this user may not open %d files", needed)
	}
	c.want("time mergecap/pcap-merge >= 2")
	c.want("peak pcap-merge <= 256")
	c.race(b.packetsOf("many"))
	b.discard("many")
}

func (b *bench) mergesAlike(what, folder string) {
	if !has("mergecap") {
		say("%s: not checked: no mergecap", what)
		return
	}
	b.same(what, digested("pcap-merge "+folder), digested("mergecap -F nsecpcap -w - "+folder+"/*"))
}

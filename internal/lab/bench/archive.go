//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
)

func benchArchive(b *bench) {
	b.makeTar()
	b.same("archive: a plain one", said("pcap-tarcat imix.tar | sha256sum"), said("tar -xOf imix.tar | sha256sum"))
	c := b.contest("archive: all of a plain one, into a pipe")
	c.ours("pcap-tarcat", "pcap-tarcat imix.tar | cat > /dev/null")
	c.peer("tar", "tar", "tar -xOf imix.tar | cat > /dev/null")
	c.want("time tar/pcap-tarcat >= 2")
	c.race(0)
	b.discard("imix.tar")

	b.makeTenth()
	b.makeTarGz("imix")
	b.makeTarGz("tenth")
	b.discard("tenth")
	b.do(bash("rm -f ./*.tarx"))

	b.same("archive: names", said("pcap-tarls --names imix.tar.gz"), said("tar -tzf imix.tar.gz"))
	c = b.contest("archive: listing")
	c.ours("pcap-tarls", "pcap-tarls imix.tar.gz > /dev/null")
	c.peer("tar", "tar", "tar -tzf imix.tar.gz > /dev/null")
	c.peer("pigz", "pigz", "pigz -dc imix.tar.gz | tar -t > /dev/null")
	c.want("time tar/pcap-tarls >= 1.8")
	c.want("cpu pcap-tarls/pigz <= 1")
	c.want("peak pcap-tarls <= 128")
	c.race(0)

	c = b.contest("archive: making the index")
	c.before = "rm -f imix.tar.gz.tarx"
	c.ours("index", "pcap-tarls --index imix.tar.gz > /dev/null")
	c.ours("plain", "pcap-tarls imix.tar.gz > /dev/null")
	c.want("time index/plain <= 1.08")
	c.want("peak index <= 128")
	c.race(0)

	b.do(bash("pcap-tarls --index imix.tar.gz > /dev/null && pcap-tarls --index tenth.tar.gz > /dev/null"))
	b.do(b.printIndexSize)
	b.useIndex()
	b.discard("*.tar.gz", "*.tarx")
}

func (b *bench) printIndexSize() error {
	index, err := os.Stat("imix.tar.gz.tarx")
	if err == nil {
		fmt.Printf("\narchive: size of the index\n  %d bytes of index for %d in the archive; wanted at most a thousandth\n", index.Size(), b.size)
	}
	return err
}

// useIndex compares reading by the index with reading everything.
func (b *bench) useIndex() {
	last := "" // it has the same name in both
	b.do(func() error {
		name, err := said("tar -tzf imix.tar.gz | tail -n 1")()
		last = strings.TrimSpace(name)
		return err
	})
	c := b.contest("archive: first byte of the last member, by the index")
	firstByte := "set +o pipefail; pcap-tarcat --raw --name " + last + " %s | head -c 1 > /dev/null"
	c.ours("whole", fmt.Sprintf(firstByte, "imix.tar.gz"))
	c.ours("tenth", fmt.Sprintf(firstByte, "tenth.tar.gz"))
	c.want("time whole|tenth <= 0.015")
	c.race(0)

	b.same("archive: the last member", said("pcap-tarcat --raw --name "+last+" imix.tar.gz | sha256sum"), said("tar -xzOf imix.tar.gz "+last+" | sha256sum"))
	c = b.contest("archive: the last member, by the index")
	c.ours("pcap-tarcat", "pcap-tarcat --raw --name "+last+" imix.tar.gz > /dev/null")
	c.peer("tar", "tar", "tar -xzOf imix.tar.gz "+last+" > /dev/null")
	c.peer("pigz", "pigz", "pigz -dc imix.tar.gz | tar -xOf - "+last+" > /dev/null")
	c.want("time tar/pcap-tarcat >= 40")
	c.want("time pigz/pcap-tarcat >= 20")
	c.want("peak pcap-tarcat <= 128")
	c.race(0)

	b.same("archive: all of it", said("pcap-tarcat --raw imix.tar.gz | sha256sum"), said("tar -xzOf imix.tar.gz | sha256sum"))
	c = b.contest("archive: all of it, by the index")
	c.ours("pcap-tarcat", "pcap-tarcat --raw imix.tar.gz > /dev/null")
	c.peer("tar", "tar", "tar -xzOf imix.tar.gz > /dev/null")
	c.peer("pigz", "pigz", "pigz -dc imix.tar.gz | tar -xOf - > /dev/null")
	c.want("time tar/pcap-tarcat >= 2.5")
	c.want("time pigz/pcap-tarcat >= 1.5")
	c.want("peak pcap-tarcat <= 128")
	c.race(0)
}

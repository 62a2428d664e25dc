//go:build linux

package main

import "fmt"

// How many files a set of captures has.
const (
	setFiles  = 35
	manyFiles = 10000
)

// The sets: of the Internet mix, a tenth of it, of small packets, and of many files.
func (b *bench) makeImix()  { b.make("imix", set(b.size, setFiles, 0)) }
func (b *bench) makeTenth() { b.make("tenth", set(b.size/10, setFiles, 0)) }
func (b *bench) makeSmall() { b.make("small", set(b.size, setFiles, 60)) }
func (b *bench) makeMany()  { b.make("many", set(b.size/4, manyFiles, 0)) }

func set(size int64, files, length int) func(string) error {
	return func(name string) error { return makeSet(name, size, files, length) }
}

// makeCompressed compresses every file of imix.
func (b *bench) makeCompressed(name, program, suffix string) {
	b.makeImix()
	b.make(name, func(name string) error {
		_, err := shell(fmt.Sprintf(`mkdir %s; for file in imix/*; do %s -c < "$file" > %s/"${file##*/}".%s || exit; done`, name, program, name, suffix))
		return err
	})
}

func (b *bench) makeMerged() {
	b.makeImix()
	b.make("merged.pcap", func(name string) error { return bash("pcap-merge -o " + name + " imix")() })
}

func (b *bench) makeTar() {
	b.makeImix()
	b.make("imix.tar", func(name string) error { return bash("cd imix && tar -cf ../" + name + " -- *")() })
}

func (b *bench) makeTarGz(folder string) {
	b.make(folder+".tar.gz", func(name string) error { return bash("cd " + folder + " && tar -cf - -- * | gzip > ../" + name)() })
}

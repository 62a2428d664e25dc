# Static binaries that can be copied to a sensor and run.
export CGO_ENABLED = 0
# The version comes from the repository, where there is one.
export GOFLAGS = -trimpath

PREFIX = /usr/local
DESTDIR =
TOOLS = pcap-tarls pcap-tarcat pcap-map pcap-merge pcap-pace pcap-inject
BINARIES = $(TOOLS:%=bin/%)
FUZZTIME = 1m

all: $(BINARIES)

# Go knows best what has changed.
.PHONY: all test demo bench lint fuzz install uninstall clean $(BINARIES)
$(BINARIES): bin/%:
	go build -o $@ ./cmd/$*

# All that this machine allows; what it does not is skipped with the reason.
test:
	go test $(GOTESTFLAGS) ./...

demo: all
	scripts/demo

bench: all
	scripts/bench

lint:
	scripts/lint

# Every fuzz target for FUZZTIME.
fuzz:
	scripts/fuzz $(FUZZTIME)

MANUALS = $(wildcard man/*.[157])

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	for page in $(MANUALS); do \
	  install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; \
	done

uninstall:
	cd $(DESTDIR)$(PREFIX)/bin && rm -f $(TOOLS)
	for page in $(MANUALS); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done

clean:
	rm -rf bin

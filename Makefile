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

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7

uninstall:
	cd $(DESTDIR)$(PREFIX)/bin && rm -f $(TOOLS)
	cd $(DESTDIR)$(PREFIX)/share/man && rm -f $(TOOLS:%=man1/%.1) man5/pcap-stream.5 man5/pcap-records.5 man7/pcap-replay.7

clean:
	rm -rf bin

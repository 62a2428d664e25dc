# Static binaries that can be copied to a sensor and run.
export CGO_ENABLED = 0
# The version comes from the repository, where there is one. urfave/cli without what writes
# manuals is smaller.
export GOFLAGS = -trimpath -tags=urfave_cli_no_docs

# The tools notice closed standard descriptors where their own entry runs: see
# internal/tool/closed.go.
ifneq ($(filter linux-amd64 linux-arm64 linux-386 linux-arm,$(shell go env GOOS 2> /dev/null)-$(shell go env GOARCH 2> /dev/null)),)
ENTRY = -E pcap-replay/internal/tool.entry
endif

BIN = bin
PREFIX = /usr/local
DESTDIR =
SHARE = $(DESTDIR)$(PREFIX)/share
BASH_COMPLETIONS = $(SHARE)/bash-completion/completions
ZSH_COMPLETIONS = $(SHARE)/zsh/site-functions
FISH_COMPLETIONS = $(SHARE)/fish/vendor_completions.d
# fish looks into /usr/local only if XDG_DATA_DIRS says so, and always into /etc.
ifeq ($(shell uname -s)$(PREFIX),Linux/usr/local)
FISH_COMPLETIONS = $(DESTDIR)/etc/fish/completions
endif

TOOLS = pcap-tarls pcap-tarcat pcap-map pcap-merge pcap-pace pcap-inject
MANUALS = $(wildcard man/*.[157])
FUZZTIME = 1m

.PHONY: all test race race-engines race-tools cover check demo bench lint fuzz install install-built uninstall dist clean

# Go knows best what has changed.
all:
	go build -ldflags='-s -w $(ENTRY)' -o $(BIN)/ ./cmd/...

# All that this machine allows; the last line counts what was skipped, and why.
test:
	@scripts/test $(GOTESTFLAGS)

# The packages in which goroutines share memory. Packages stream and compare have goroutines,
# too, but those only pass buffers on, and the built tools use them: see race-tools.
RACE_PACKAGES = ./internal/archive ./internal/bunzip2 ./internal/files ./internal/merge \
  ./internal/schedule ./internal/survey ./internal/tool ./internal/wire
# The first takes two minutes with the race detector, and FuzzIndex makes each of its forgeries
# too. The second measures memory.
RACE_SKIP = ^TestForgedIndexIsRefused$$|^TestBombTakesLittleMemory$$
# The tests of the built tools in which most goroutines meet: ends and signals, growing
# files, other programs at both ends, whole pipelines, and all ways of sending. All others
# take over five minutes more: go test -race ./internal/acceptance.
RACE_ENDS = RandomEnds|ReadersGoAway|AllSignals|SecondSignals|SignalsAtAny|SignalsCount|Stalled
RACE_FLOWS = FollowsALiveSensor|OthersReadOurStreams|PipelinesReplay|EveryWay

# The race detector needs cgo and a C compiler. make -j2 runs both at the same time.
race: race-engines race-tools

race-engines:
	CGO_ENABLED=1 go test -race $(GOTESTFLAGS) -skip '$(RACE_SKIP)' $(RACE_PACKAGES)

race-tools:
	CGO_ENABLED=1 go test -race $(GOTESTFLAGS) -run '$(RACE_ENDS)|$(RACE_FLOWS)' ./internal/acceptance

# The coverage of all tests, by function; cover.out is for go tool cover -html. The tools that
# the tests build write theirs into files of their own.
COVER_TOOLS = $(CURDIR)/bin/coverage
cover:
	rm -rf $(COVER_TOOLS)
	mkdir -p $(COVER_TOOLS)
	@PCAP_COVERAGE=$(COVER_TOOLS) scripts/test -coverprofile=cover.out -coverpkg=./cmd/...,./internal/...,./stream $(GOTESTFLAGS)
	go tool covdata textfmt -i=$(COVER_TOOLS) -o=$(COVER_TOOLS)/cover.out
	tail -n +2 $(COVER_TOOLS)/cover.out >> cover.out
	go tool cover -func=cover.out

# What is to be green before a commit.
check: all lint test

demo: all
	scripts/demo

bench: all
	scripts/bench

lint:
	scripts/lint

# Every fuzz target for FUZZTIME.
fuzz:
	scripts/fuzz $(FUZZTIME)

# Under sudo there may be no Go: what make has built is installed then.
install:
	@mkdir -p $(DESTDIR)$(PREFIX)/bin 2> /dev/null && [ -w $(DESTDIR)$(PREFIX)/bin ] || \
	  { echo 'make: cannot write to $(DESTDIR)$(PREFIX)/bin; use sudo make install, or make install PREFIX=$$HOME/.local' >&2; exit 1; }
	if command -v go > /dev/null; then $(MAKE) all; fi
	$(MAKE) install-built

# bash and fish look a completion up by the name of the tool.
install-built:
	install -d $(DESTDIR)$(PREFIX)/bin $(BASH_COMPLETIONS) $(ZSH_COMPLETIONS) $(FISH_COMPLETIONS) $(addprefix $(SHARE)/man/man,1 5 7)
	install -m 755 $(TOOLS:%=$(BIN)/%$(EXE)) $(DESTDIR)$(PREFIX)/bin
	for page in $(MANUALS); do \
	  install -m 644 $$page $(SHARE)/man/man$${page##*.} || exit 1; \
	done
	install -m 644 scripts/completions/pcap-replay.bash $(BASH_COMPLETIONS)/pcap-replay
	install -m 644 scripts/completions/_pcap-replay $(ZSH_COMPLETIONS)
	install -m 644 scripts/completions/pcap-replay.fish $(FISH_COMPLETIONS)
	for tool in $(TOOLS); do \
	  ln -sf pcap-replay $(BASH_COMPLETIONS)/$$tool && \
	  ln -sf pcap-replay.fish $(FISH_COMPLETIONS)/$$tool.fish || exit 1; \
	done

uninstall:
	cd $(DESTDIR)$(PREFIX)/bin && rm -f $(TOOLS)
	for page in $(MANUALS); do rm -f $(SHARE)/man/man$${page##*.}/$${page##*/}; done
	for name in pcap-replay $(TOOLS); do \
	  rm -f $(BASH_COMPLETIONS)/$$name $(ZSH_COMPLETIONS)/_$$name $(FISH_COMPLETIONS)/$$name.fish; \
	done

# Tarballs for all systems, and packages, in dist/.
# It runs make itself, without the jobs of this one.
dist:
	MAKEFLAGS= scripts/dist

clean:
	rm -rf bin dist cover.out

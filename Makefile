# Gatepost. The daily words: make, make check, make demo; `make help` lists all.
BUILD ?= build
CC = gcc
CFLAGS ?= -O2 -g
PKGS = libcares openssl libpcre2-8 libclamav lmdb
WARN = -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Werror
HARDEN = -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection
CPPFLAGS = -std=c11 -D_GNU_SOURCE -I. $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LDFLAGS = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
LDLIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lev -lm
PREFIX ?= /usr/local

SRC := $(sort $(shell find proxy filters policy conf -name '*.c'))
OBJ := $(SRC:%.c=$(BUILD)/%.o)
LIB := $(filter-out $(BUILD)/proxy/proc/main.o,$(OBJ))
UNIT := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
TEST = GATEPOST_BIN=$(CURDIR)/$(BUILD)/gatepost /usr/bin/python3 -m pytest -q -p no:cacheprovider

all: $(BUILD)/gatepost					# the program (the default)

$(BUILD)/gatepost: $(OBJ)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
# With a scanner that misbehaves when a message asks it to; for tests only.
$(BUILD)/gatepost-hooks: $(OBJ) $(BUILD)/tests/fake/scanner_hooks.o
	$(CC) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=scanner_judge -o $@ $^ $(LDLIBS)
# An archive, so that a test holds what it needs and no more.
$(BUILD)/lib.a: $(LIB)
	@rm -f $@
	ar rcs $@ $^
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/lib.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
$(BUILD)/tests/fake/resolve: $(BUILD)/tests/fake/resolve.o $(BUILD)/lib.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lssl -lcrypto -lev
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -MMD -MP $(WARN) $(HARDEN) -fPIE $(CFLAGS) -c -o $@ $<

help:							# this list
	@sed -n 's/^\([a-z]*\):.*	# \(.*\)/  make \1	\2/p' Makefile
deps:							# the packages that building and testing need
	@tests/deps.sh build check
check: deps						# everything that must hold, on real servers too
	@tests/layers.sh && tests/layers.sh --self-test && tests/peers.sh dovecot postfix exim opensmtpd swaks msmtp s-nail
	@$(MAKE) --no-print-directory -s -j$$(nproc) built
	@$(MAKE) --no-print-directory tests
built: $(BUILD)/gatepost $(BUILD)/gatepost-hooks $(BUILD)/tests/fake/resolve $(UNIT)
tests: built						# the same without set-up
	@for t in $(UNIT); do $$t 2>$$t.log || { cat $$t.log; exit 1; }; done; echo "unit: $(words $(UNIT)) programs passed"
	@$(MAKE) --no-print-directory -j2 tests-wide tests-narrow
# Most tests wait for servers, not for processors: two halves side by side. What each says is shown when it is over.
WIDE = $(addprefix tests/,real/ extensions/ clients/ net/ gp/)
tests-wide: TESTS = $(WIDE)
tests-wide: AGAIN = tests/real
tests-narrow: TESTS = $(filter-out $(WIDE),$(sort $(dir $(wildcard tests/*/test_*.py)))) $(wildcard tests/test_*.py)
tests-narrow: AGAIN = tests/dialogue
tests-wide tests-narrow:
	@GATEPOST_WORKERS=2 GATEPOST_SCANNERS=3 $(TEST) $(TESTS) >$(BUILD)/$@.log 2>&1 && \
	GATEPOST_WORKERS=1 GATEPOST_SCANNERS=1 $(TEST) $(AGAIN) >>$(BUILD)/$@.log 2>&1; rc=$$?; cat $(BUILD)/$@.log; exit $$rc
asan:							# check under AddressSanitizer and UBSan (no limit on address space there)
	$(MAKE) check BUILD=build/asan HARDEN= CFLAGS='-O1 -g -fsanitize=address,undefined -fno-omit-frame-pointer'
fuzz: $(FUZZ:%=build/fuzz/%)				# each fuzzer for FUZZ_SECONDS (60)
	@for f in $^; do mkdir -p $$f.corpus && $$f -max_total_time=$${FUZZ_SECONDS:-60} -rss_limit_mb=4096 $$f.corpus || exit 1; done
build/fuzz/%: tests/fuzz/fuzz_%.c $(filter-out proxy/proc/main.c,$(SRC))
	@mkdir -p $(@D)
	clang-14 $(CPPFLAGS) -O1 -g -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)
demo:							# the whole thing in front of a real Dovecot; KEEP=1 leaves it running
	@KEEP=$(KEEP) tests/demo.sh
bench: all						# rates beside the peers, in one run
	@tests/show/relay-rate
install: all						# to PREFIX, the configuration to /etc/gatepost unless there is one
	install -D $(BUILD)/gatepost $(DESTDIR)$(PREFIX)/sbin/gatepost
	install -D -m 644 -t $(DESTDIR)/usr/share/gatepost/rules conf/dist/rules/*.cf
	test -e $(DESTDIR)/etc/gatepost/gatepost.conf || install -D -m 640 -t $(DESTDIR)/etc/gatepost conf/dist/gatepost.conf
format:							# changed lines as .clang-format has them
	git clang-format --extensions c,h
lint:							# what cppcheck finds
	cppcheck --quiet --enable=warning,performance,portability --inline-suppr --std=c11 -I. -D_GNU_SOURCE $(SRC)
clean:							# away with build/
	rm -rf build

.PHONY: all help deps check built tests tests-wide tests-narrow asan fuzz demo bench install format lint clean
.SECONDARY:
-include $(OBJ:.o=.d) $(wildcard $(BUILD)/tests/*/*.d)

# mailq-watchdog: one non-recursive makefile. `make help` lists the targets.
# Sources are found by folder: a new .c file needs no line here.

CC ?= gcc
BUILD ?= build
PREFIX ?= /usr
BENCH_LINES ?= 1000000
BENCH_ROUNDS ?= 5
LIVE ?= rate burst latency idle start
LIVE_WORK ?= /var/tmp/mqw-live
UNITDIR ?= $(PREFIX)/lib/systemd/system
# journalctl reads this one folder, whatever the prefix is.
CATALOGDIR ?= /usr/lib/systemd/catalog
VERSION := 0.1.0

PKGS := libsystemd libseccomp yaml-0.1 sqlite3 libmicrohttpd libcurl jansson zlib liblzma libzstd libxxhash
# These two ship no pkg-config file in every distribution.
LIBS_PLAIN := -linotifytools -lbz2
# For the reader of shares alone, which is a program of its own for the sake of this library.
SMB_CFLAGS = $(shell pkg-config --cflags smbclient 2>/dev/null)
SMB_LIBS = $(shell pkg-config --libs smbclient 2>/dev/null)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS = $(shell pkg-config --libs $(PKGS) 2>/dev/null) $(LIBS_PLAIN) -lpthread

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wformat=2 -Wwrite-strings -Wundef
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE -fvisibility=hidden
OPT ?= -O2 -g
CFLAGS_ALL = -std=gnu11 $(OPT) $(WARN) $(HARDEN) $(PKG_CFLAGS) -I. \
	-DMQW_VERSION='"$(VERSION)"' -DMQW_LIBEXEC='"$(PREFIX)/libexec/mailq-watchdog"' $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
# What each line of a log goes through is compiled for the linker to put together once more, which takes
# a tenth of a scan's time away. Only in the programs: a link takes seconds, and there are many tests.
HOT := $(wildcard probes/common.c probes/registry.c probes/syslog/*.c probes/*/log.c probes/*/attempt.c \
	probes/exim/id.c probes/exim/failure.c probes/source/lines.c probes/source/reader.c watchdogd/base/slice.c watchdogd/base/map.c \
	watchdogd/track/*.c watchdogd/cli/reading.c watchdogd/cli/input.c watchdogd/cli/batch.c watchdogd/cli/relay.c)
ifneq ($(findstring Free Software Foundation,$(shell $(CC) --version 2>/dev/null)),)
LTO ?= -flto=auto -ffat-lto-objects
endif
# In CI a warning is an error; a user's newer compiler shall not stop a build.
ifdef CI
WARN += -Werror
endif

# One program's own: not in the library.
MAINS := watchdogd/cli/main.c watchdogd/cli/no_journal.c watchdogd/cli/manage.c watchdogd/daemon/main.c \
	watchdogd/helper/main.c watchdogd/share/main.c
SRCS := $(sort $(wildcard watchdogd/*/*.c watchdogd/*/*/*.c probes/*.c probes/*/*.c rules/*.c))
LIB_SRCS := $(filter-out $(MAINS),$(SRCS))
LIB_OBJS := $(LIB_SRCS:%.c=$(BUILD)/%.o)
LIB := $(BUILD)/libmqw.a
PROGRAMS := $(BUILD)/mailq-watchdog $(BUILD)/mailq-watchdog-manage $(BUILD)/mailq-watchdogd \
	$(BUILD)/mailq-watchdog-helper $(BUILD)/mailq-watchdog-smb
HEADERS := $(wildcard watchdogd/*/*.h watchdogd/*/*/*.h probes/*.h probes/*/*.h rules/*.h)
UNIT_SRCS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_TESTS := $(UNIT_SRCS:tests/unit/%.c=$(BUILD)/tests/unit/%)
CRASH_SRCS := $(wildcard tests/crash/*.c)
CRASH_OBJS := $(CRASH_SRCS:%.c=$(BUILD)/%.o)
CRASH := $(BUILD)/tests/crash/crash
GENERATE_SRCS := $(wildcard tests/bench/generate/*.c)
GENERATE_OBJS := $(GENERATE_SRCS:%.c=$(BUILD)/%.o)
GENERATE := $(BUILD)/tests/bench/generate/generate
C_FILES := $(SRCS) $(HEADERS) $(UNIT_SRCS) $(wildcard tests/unit/*.h tests/bench/*.c) \
	$(CRASH_SRCS) $(wildcard tests/crash/*.h) $(GENERATE_SRCS) $(wildcard tests/bench/generate/*.h)

.PHONY: all
all: $(PROGRAMS) ## build into build/

$(BUILD)/mailq-watchdog: $(BUILD)/watchdogd/cli/main.o $(BUILD)/watchdogd/cli/no_journal.o $(LIB)
$(BUILD)/mailq-watchdog-manage: $(BUILD)/watchdogd/cli/manage.o $(LIB)
$(BUILD)/mailq-watchdogd: $(BUILD)/watchdogd/daemon/main.o $(LIB)
$(BUILD)/mailq-watchdog-helper: $(BUILD)/watchdogd/helper/main.o $(LIB)
$(HOT:%.c=$(BUILD)/%.o): CFLAGS_HOT := $(LTO)
$(BUILD)/mailq-watchdog-smb: $(BUILD)/watchdogd/share/main.o $(LIB)
$(BUILD)/mailq-watchdog-smb: PKG_LIBS += $(SMB_LIBS)
$(BUILD)/watchdogd/share/smb.o: PKG_CFLAGS += $(SMB_CFLAGS)
$(PROGRAMS):
	$(CC) $(CFLAGS_ALL) $(LTO) $(LDFLAGS_ALL) -o $@ $(filter %.o %.a,$^) $(PKG_LIBS)

$(LIB): $(LIB_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(CFLAGS_HOT) -MMD -MP -c -o $@ $<

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -MF $@.d -fno-lto $(LDFLAGS_ALL) -o $@ $< $(LIB) -lcmocka $(PKG_LIBS)

# Its own objects come first: what they define takes the place of the library's and of libc's.
$(CRASH): $(CRASH_OBJS) $(LIB)
	$(CC) $(CFLAGS_ALL) -fno-lto $(LDFLAGS_ALL) -Wl,--wrap=mqw_instance_verdict -o $@ $(CRASH_OBJS) $(LIB) \
		$(PKG_LIBS)

$(GENERATE): $(GENERATE_OBJS) $(LIB)
	$(CC) $(CFLAGS_ALL) -fno-lto $(LDFLAGS_ALL) -o $@ $(GENERATE_OBJS) $(LIB) $(PKG_LIBS)

-include $(SRCS:%.c=$(BUILD)/%.d) $(CRASH_SRCS:%.c=$(BUILD)/%.d) $(UNIT_TESTS:%=%.d) \
	$(GENERATE_SRCS:%.c=$(BUILD)/%.d) \
	$(wildcard $(BUILD)/tests/bench/*.d)

include packaging/deps.mk

.PHONY: check
check: ## run all tests; last line "N passed, N failed" (integration needs root)
	@tests/check.sh

.PHONY: check-unit
check-unit: $(UNIT_TESTS) ## unit tests only
	@tests/unit/run.sh $(UNIT_TESTS)

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS)

.PHONY: check-crash
check-crash: $(CRASH) ## the daemon killed at 2,200 places of a life of 200 messages, calls failed at 600
	@$(CRASH)
	@$(CRASH) --faults --points 600

.PHONY: demo
demo: ## as root: a real Postfix loses a message, the watchdog brings it back
	@tests/lab/demo.sh

.PHONY: soak
soak: all ## as root: SOAK_MINUTES (30) of load beside a real Postfix, daemon killed, log rotated; then 5 by journal
	SOAK_SECONDS=$$(($${SOAK_MINUTES:-30} * 60)) KILL_EVERY=20 ROTATE_EVERY=60 tests/lab/soak.sh file act
	SOAK_SECONDS=$$(($${SOAK_MINUTES:-30} * 10)) KILL_EVERY=20 ROTATE_EVERY=60 tests/lab/soak.sh journal observe

.PHONY: layers
layers: ## check the layering of DESIGN over the #include lines, and the length of files
	@tests/layers.sh

.PHONY: lint
lint: ## format, cppcheck, the static analysers of gcc and clang
	@tests/lint.sh $(SRCS)

.PHONY: format
format: ## apply .clang-format
	clang-format -i $(C_FILES)

.PHONY: format-check
format-check: ## say which files clang-format would change
	clang-format --dry-run --Werror $(C_FILES)

.PHONY: check-asan
check-asan: ## unit tests and cases under AddressSanitizer and UBSan
	$(MAKE) BUILD=$(BUILD)/asan LTO= OPT="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" \
		HARDEN="-fPIE -fvisibility=hidden" check-unit $(BUILD)/asan/mailq-watchdog

$(BUILD)/tests/bench/%: tests/bench/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -MF $@.d -fno-lto $(LDFLAGS_ALL) -o $@ $< $(LIB) $(PKG_LIBS)

.PHONY: bench
bench: all $(GENERATE) ## scan against what else reads such logs, verdicts checked (BENCH_LINES, BENCH_ROUNDS; make deps-bench first)
	tests/bench/bench.py $(BUILD)/mailq-watchdog $(GENERATE) $(PEERS) \
		--lines $(BENCH_LINES) --rounds $(BENCH_ROUNDS)

.PHONY: bench-guard
bench-guard: all $(GENERATE) ## instructions a line of a scan, against those kept (part of check)
	@tests/bench/guard.sh $(BUILD)/mailq-watchdog $(GENERATE)

.PHONY: bench-ledger
bench-ledger: $(BUILD)/tests/bench/ledger ## a million open messages: start, memory, a batch (2 minutes, 1 GB in /var/tmp)
	@$(BUILD)/tests/bench/ledger

.PHONY: bench-live
bench-live: all $(GENERATE) ## the daemon beside a log that is written: LIVE="rate burst latency idle start"; 10 minutes, 8 GB in LIVE_WORK
	for what in $(LIVE); do echo "$$what:"; \
		tests/bench/live.py $(BUILD)/mailq-watchdogd $(GENERATE) $(LIVE_WORK) $$what || exit 1; done

.PHONY: install
install: all ## install into DESTDIR
	install -D -m 755 $(BUILD)/mailq-watchdog $(DESTDIR)$(PREFIX)/bin/mailq-watchdog
	install -D -m 755 $(BUILD)/mailq-watchdogd $(DESTDIR)$(PREFIX)/sbin/mailq-watchdogd
	for p in manage helper smb; do \
		install -D -m 755 $(BUILD)/mailq-watchdog-$$p \
			$(DESTDIR)$(PREFIX)/libexec/mailq-watchdog/mailq-watchdog-$$p || exit 1; done
	for u in packaging/systemd/*.service packaging/systemd/*.socket; do \
		install -D -m 644 $$u $(DESTDIR)$(UNITDIR)/$${u##*/} && \
		sed -i 's,^\(Exec[A-Z][a-z]*\)=/usr/,\1=$(PREFIX)/,' $(DESTDIR)$(UNITDIR)/$${u##*/} || \
			exit 1; done
	install -D -m 644 packaging/systemd/mailq-watchdog.sysusers \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/mailq-watchdog.conf
	install -D -m 644 packaging/mailq-watchdog.catalog \
		$(DESTDIR)$(CATALOGDIR)/mailq-watchdog.catalog
	for m in packaging/man/*.[158]; do \
		install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/} || exit 1; done
	install -D -m 644 packaging/systemd/remote-host.conf \
		$(DESTDIR)$(PREFIX)/share/mailq-watchdog/remote-host.conf
	install -D -m 644 packaging/doc/exchange.md \
		$(DESTDIR)$(PREFIX)/share/doc/mailq-watchdog/exchange.md
	test -e $(DESTDIR)/etc/mailq-watchdog/watchdog.yaml || install -D -m 644 \
		packaging/watchdog.yaml $(DESTDIR)/etc/mailq-watchdog/watchdog.yaml
# Into a folder of a package, the package's own scripts do this.
ifeq ($(DESTDIR),)
	@test -d /run/systemd/system || echo "no systemd here: user mailq-watchdog is to be made by hand"
	-@test ! -d /run/systemd/system || { systemd-sysusers \
		$(PREFIX)/lib/sysusers.d/mailq-watchdog.conf; \
		journalctl --update-catalog; systemctl daemon-reload; }
endif

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

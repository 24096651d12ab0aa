# What `make deps` installs. One list a distribution, by its own package names.

DEPS_APT := gcc make pkg-config libinotifytools0-dev libsystemd-dev libseccomp-dev libyaml-dev libsqlite3-dev \
	libmicrohttpd-dev libcurl4-gnutls-dev libjansson-dev zlib1g-dev liblzma-dev libzstd-dev \
	libbz2-dev libxxhash-dev libsmbclient-dev
DEPS_DNF := gcc make pkgconf-pkg-config inotify-tools-devel systemd-devel libseccomp-devel libyaml-devel \
	sqlite-devel libmicrohttpd-devel libcurl-devel jansson-devel zlib-devel xz-devel \
	libzstd-devel bzip2-devel xxhash-devel libsmbclient-devel
# For the tests and the demo, beyond what a build needs.
DEPS_TEST_APT := libcmocka-dev python3 debootstrap systemd-container iproute2 util-linux \
	bzip2 xz-utils zstd openssl clang valgrind
DEPS_TEST_DNF := libcmocka-devel python3 debootstrap systemd-container iproute util-linux \
	bzip2 xz zstd openssl clang valgrind
DEPS_LINT_APT := clang clang-format cppcheck
DEPS_LINT_DNF := clang clang-tools-extra cppcheck

# $(1): apt packages, $(2): dnf packages
define install_packages
	@if command -v apt-get >/dev/null; then \
		missing=$$(dpkg-query -W -f='$${db:Status-Abbrev} $${Package}\n' $(1) 2>/dev/null | \
			awk '$$1=="ii"{print $$2}' | sort >/tmp/mqw-deps.$$$$; \
			printf '%s\n' $(1) | sort | comm -23 - /tmp/mqw-deps.$$$$; \
			rm -f /tmp/mqw-deps.$$$$); \
		if [ -z "$$missing" ]; then echo "deps: all there"; exit 0; fi; \
		[ "$$(id -u)" = 0 ] || { echo "deps: missing, run as root: apt-get install" $$missing >&2; exit 1; }; \
		echo "deps: installing" $$missing; \
		apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -q --no-install-recommends $$missing >/dev/null; \
	elif command -v dnf >/dev/null; then \
		dnf install -y $(2); \
	else \
		echo "deps: neither apt-get nor dnf here; install by hand: $(1)" >&2; exit 1; \
	fi
endef

.PHONY: deps
deps: ## install what a build needs (apt or dnf)
	$(call install_packages,$(DEPS_APT),$(DEPS_DNF))

.PHONY: deps-test
deps-test: deps ## install what the tests and the demo need besides
	$(call install_packages,$(DEPS_TEST_APT),$(DEPS_TEST_DNF))

.PHONY: deps-lint
deps-lint: deps ## install what `make lint` needs besides
	$(call install_packages,$(DEPS_LINT_APT),$(DEPS_LINT_DNF))

# What `make bench` compares with. Unpacked and not installed: some would bring an MTA or a service along.
PEERS := $(BUILD)/peers
DEPS_BENCH := pflogsumm libdate-calc-perl libbit-vector-perl libcarp-clan-perl logwatch mtail fail2ban exim4-base

.PHONY: deps-bench
deps-bench: deps-test ## unpack what `make bench` compares with into build/peers; nothing is installed (apt only)
	@mkdir -p $(PEERS)/debs
	@command -v apt-get >/dev/null || { echo "deps-bench: needs apt-get; the bench runs without peers" >&2; exit 1; }
	cd $(PEERS)/debs && apt-get download -q $(DEPS_BENCH)
	for d in $(PEERS)/debs/*.deb; do dpkg-deb -x $$d $(PEERS) || exit 1; done

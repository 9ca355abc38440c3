# Payhall's whole workbench. A fresh machine needs nothing else typed.
#
#   make demo    a running center with a simulated world, until Ctrl-C
#   make test    everything that has to hold, on SQLite, PostgreSQL, Redis and memory
#   make check   the quick half of it: formatting, lints, tests that need no server
#   make bench   the figures of docs/PERFORMANCE.md, measured here and now

SHELL := /bin/bash
CARGO ?= cargo
# Where libpq's headers cannot be installed: make FEATURES=postgres-static demo
FEATURES ?=
cargo_features := $(if $(FEATURES),--features $(FEATURES))
comma := ,
# `make test` builds the suite once, with everything that is a feature, and lints the program without it as well;
# `make check` runs what needs no server without it.
everything := --features $(if $(FEATURES),$(FEATURES)$(comma))gm$(comma)oidc$(comma)s3

.PHONY: demo test check bench libpq servers fmt

demo: libpq
	$(CARGO) run $(cargo_features) -- demo $(DEMO)

test: libpq servers
	$(CARGO) fmt --check
	$(CARGO) clippy $(cargo_features) --all-targets -- -D warnings
	$(CARGO) clippy $(everything) --all-targets -- -D warnings
	PAYHALL_TEST_POSTGRES_OPTIONS='-c fsync=off' tests/servers.sh $(CARGO) test $(everything)

check: libpq
	$(CARGO) fmt --check
	$(CARGO) clippy $(cargo_features) --all-targets -- -D warnings
	$(CARGO) test $(cargo_features)

bench: libpq servers
	tests/servers.sh $(CARGO) bench $(cargo_features) --bench lifecycle -- $(BENCH)
	tests/servers.sh $(CARGO) bench $(cargo_features) --bench statement
	$(CARGO) bench $(cargo_features) --bench reconcile -- $(BENCH)

# PostgreSQL's client library, to link with.
libpq:
	@deploy/install.sh libpq $(FEATURES)

# The servers and clients that the tests start for themselves.
servers:
	@deploy/install.sh servers

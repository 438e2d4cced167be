# For every day
#   make setup         install everything that is needed into .venv and build
#   make check         what to run after every edit: lint, unit tests on CPython and on MicroPython, and those tests
#                      of the documents that need no board; about a minute
#   make lint          style, imports, types: what the pre-commit hooks run
#   make wheel         the command e4 as a package in dist, for pipx and pip
#   make test          everything that can be checked on this machine; ten to fifteen minutes
#
# To see it work
#   make demo          the tutorial on three virtual boards                  (BROKER=host:port; PORT=device for alice)
#   make mip           a folder from which `mip` installs library and application (OUT=folder)
#   make conformance   the library against vectors of the Go client          (VECTORS=file.json; PORT as for bench)
#
# Long runs and figures
#   make powercut      power cuts everywhere in the life of a board          (CUTS=n: how many, SEED=n: another life)
#   make fuzz          random input for all parsers                          (INPUTS=n, SEED=n, ONLY=part of a name)
#   make soak          messages and faults: is any lost, does the heap stay? (MINUTES=n, BOARDS=n, SEED=n)
#   make emulated      an official image in an emulator: vectors, figures, a node (QEMU=program IMAGE=file; VECTORS=file)
#   make bench         time, heap, flash and size against their budgets      (PORT=device or socket://host:port)
#
# The other targets are parts of `make test`. docs/testing.md says what each of them shows.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STUBS := build/stubs
WASM := build/wasm

.PHONY: setup check test demo lint style imports types unit vm wasm property budgets tools boards docs texts faults \
	wheel powercut fuzz soak emulated bench conformance mip lock clean

setup: $(VENV)/.installed

check: lint unit vm texts

test: lint unit vm property budgets wasm tools boards docs faults emulated

demo: $(VENV)/.installed
	$(RUN) -m e4_tools.dev.demo $(if $(BROKER),--broker $(BROKER)) $(if $(PORT),--port $(PORT))

lint: style imports types

style: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

# What runs on Linux only: the other systems are not asked whether it fits them.
LINUX_ONLY := virtual_board/

# .importlinter says which part may import which.
imports: $(VENV)/.installed
	$(VENV)/bin/lint-imports --no-logo --no-cache

# The host side is checked for macOS and Windows too, each with a cache of its own: mypy keeps one system in a cache.
types: $(VENV)/.installed $(STUBS)/.installed
	$(RUN) -m mypy --config-file mypy-board.ini
	$(RUN) -m mypy --config-file mypy-host.ini
	@for platform in darwin win32; do \
		echo "$(RUN) -m mypy --config-file mypy-host.ini --platform $$platform"; \
		$(RUN) -m mypy --config-file mypy-host.ini --platform $$platform --cache-dir .mypy_cache/$$platform \
			--exclude '$(LINUX_ONLY)' tools || exit 1; \
	done

unit: $(VENV)/.installed
	$(RUN) -m pytest tests/unit

vm: $(VENV)/.installed
	PYTHONPATH=tests $(RUN) -m helpers.on_vm

# A second MicroPython: its small integers have 31 bits as on a board. It has no machine code and no cryptolib.
wasm:
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
		echo "The tests were NOT run on WebAssembly: node and npm are not installed"; \
	elif ! $(MAKE) --no-print-directory $(WASM)/.installed; then \
		echo "The tests were NOT run on WebAssembly: its MicroPython could not be installed"; \
	else \
		node tests/wasm/run.mjs $(WASM)/node_modules/@micropython/micropython-webassembly-pyscript/micropython.mjs \
			tests/wasm/shims=/shims lib/e4=/lib/e4 tests/helpers/portable=/helpers/portable tests/unit/lib=/unit; \
	fi

$(WASM)/.installed: tests/wasm/package-lock.json
	rm -rf $(WASM)
	mkdir -p $(WASM)
	cp tests/wasm/package.json $< tests/wasm/.npmrc $(WASM)
	npm ci --prefix $(WASM) --silent --no-audit --no-fund --ignore-scripts
	touch $@

# Random histories, hostile input, and the short forms of `make fuzz` and `make powercut`.
property: $(VENV)/.installed
	$(RUN) -m pytest -n 4 --dist worksteal tests/property tests/fuzz tests/powercut

# Sizes, heap and flash are the same on every machine, so they are part of `make test`. Times depend on what
# else the machine does, so only `make bench` measures them.
budgets: $(VENV)/.installed
	$(RUN) -m e4_tools.dev.bench --exact

# Boards and brokers mostly wait for each other, so four tests run at once, however many cores the machine has.
tools boards docs: $(VENV)/.installed
	$(RUN) -m pytest -n 4 --dist worksteal tests/$@

# The tests of the documents that need no board. `make docs` runs these too, and the examples on virtual boards.
texts: $(VENV)/.installed
	$(RUN) -m pytest tests/docs --ignore=tests/docs/test_examples.py --ignore=tests/docs/test_packages.py

faults: $(VENV)/.installed
	$(RUN) -m pytest tests/faults

powercut: $(VENV)/.installed
	PYTHONPATH=tests $(RUN) -m powercut $(or $(CUTS),0) $(or $(SEED),1)

# FIRST=n begins at that input: with ONLY and INPUTS=1 it repeats a single one.
fuzz: $(VENV)/.installed
	PYTHONPATH=tests $(RUN) -m fuzz $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ONLY),--only "$(ONLY)") $(if $(FIRST),--first $(FIRST))

soak: $(VENV)/.installed
	PYTHONPATH=tests $(RUN) -m faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(BOARDS),--boards $(BOARDS)) \
		$(if $(SEED),--seed $(SEED))

# docs/testing.md says where the two files come from.
emulated: $(VENV)/.installed
	@if [ -z "$(QEMU)" ] || [ -z "$(IMAGE)" ]; then \
		echo "The emulated board was NOT run: make emulated QEMU=qemu-system-xtensa IMAGE=ESP32_GENERIC.bin"; \
	else \
		$(RUN) -u -m e4_tools.dev.emulated "$(QEMU)" "$(IMAGE)" $(if $(VECTORS),--vectors "$(VECTORS)"); \
	fi

bench: $(VENV)/.installed
	$(RUN) -m e4_tools.dev.bench $(if $(PORT),--port $(PORT))

conformance: $(VENV)/.installed
	@test -n "$(VECTORS)" || { echo "Say which: make conformance VECTORS=tests/vectors/e4-reference.json"; exit 2; }
	$(RUN) -m e4_tools.dev.conformance $(VECTORS) $(if $(PORT),--port $(PORT))

# Any web server can serve the folder; docs/packages.md says how it is used.
mip: $(VENV)/.installed
	$(RUN) -m e4_tools.dev.mip_index $(or $(OUT),build/mip)

# The file `.installed` is made last, so that an interrupted installation is done again.
$(VENV)/.installed: requirements.txt pyproject.toml tools/e4_tools/virtual_board/umqtt.py tests/helpers/manifest_rules.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --require-hashes -r requirements.txt
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(RUN) -m e4_tools.virtual_board.umqtt
	PYTHONPATH=tests $(RUN) -m helpers.manifest_rules || true # One test needs it, and says so.
	touch $@

# The stubs have a folder of their own: they bear the names of modules of the standard library, and would hide those.
$(STUBS)/.installed: requirements-stubs.txt $(VENV)/.installed
	rm -rf $(STUBS)
	$(RUN) -m pip install --quiet --require-hashes --target $(STUBS) -r requirements-stubs.txt
	touch $@

# Writes requirements.txt from requirements.in. Needs pip-tools on the path. What is pinned keeps its version, unless
# UPGRADE=1 is given.
lock:
	pip-compile --generate-hashes --allow-unsafe --strip-extras --no-header --quiet $(if $(UPGRADE),--upgrade) \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host requirements.in -o requirements.txt

# The package, and its sources as an archive. `tests/tools/test_wheel.py` makes the same and tries it.
wheel: $(VENV)/.installed
	rm -rf dist
	$(RUN) -m hatchling build -d dist

clean:
	rm -rf $(VENV) build dist

# make demo          the tutorial's story on three virtual boards      (BROKER=host:port, PORT=device for a real alice)
# make test          everything that can be checked on this machine
# make powercut      power cuts everywhere in a board's life           (CUTS=n: how many, SEED=n: another life)
# make soak          messages and faults: is any lost, does the heap stay? (MINUTES=n; BOARDS=n; SEED=n: the same again)
# make bench         time, heap, flash and size against their budgets             (PORT=device or socket://host:port)
# make conformance   VECTORS=file.json [PORT=device or socket://host:port]
#
# Everything is installed into .venv and build, from requirements.txt.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STUBS := build/stubs
WASM := build/wasm

.PHONY: setup demo test unit vm property powercut budgets bench wasm tools boards docs faults soak lint conformance lock clean

setup: $(VENV)/.installed

demo: $(VENV)/.installed
	$(RUN) -m e4_tools.dev.demo $(if $(BROKER),--broker $(BROKER)) $(if $(PORT),--port $(PORT))

test: lint unit vm property budgets wasm tools boards docs faults

unit: $(VENV)/.installed
	$(RUN) -m pytest tests/unit

vm: $(VENV)/.installed
	PYTHONPATH=tests $(RUN) -m helpers.on_vm

# Random histories, hostile input, and the short form of `powercut`.
property: $(VENV)/.installed
	$(RUN) -m pytest tests/property tests/powercut

powercut: $(VENV)/.installed
	PYTHONPATH=tests $(RUN) -m powercut $(or $(CUTS),0) $(or $(SEED),1)

# A second MicroPython: small integers of 31 bits as on the board, no machine code, no cryptolib.
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

# Boards and brokers mostly wait for each other, so four tests go on at once on any machine.
tools boards docs: $(VENV)/.installed
	$(RUN) -m pytest -n 4 --dist worksteal tests/$@

faults: $(VENV)/.installed
	$(RUN) -m pytest tests/faults

soak: $(VENV)/.installed
	PYTHONPATH=tests $(RUN) -m faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(BOARDS),--boards $(BOARDS)) \
		$(if $(SEED),--seed $(SEED))

# Sizes, heap and flash are the same on every machine; times are not, and would fail where others work as well.
budgets: $(VENV)/.installed
	$(RUN) -m e4_tools.dev.bench --exact

bench: $(VENV)/.installed
	$(RUN) -m e4_tools.dev.bench $(if $(PORT),--port $(PORT))

lint: $(VENV)/.installed $(STUBS)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy --config-file mypy-board.ini
	$(RUN) -m mypy --config-file mypy-host.ini

conformance: $(VENV)/.installed
	@test -n "$(VECTORS)" || { echo "Say which: make conformance VECTORS=tests/vectors/e4-reference.json"; exit 2; }
	$(RUN) -m e4_tools.dev.conformance $(VECTORS) $(if $(PORT),--port $(PORT))

# The stamp comes last: an interrupted installation is done again.
$(VENV)/.installed: requirements.txt pyproject.toml tools/e4_tools/virtual_board/umqtt.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --require-hashes -r requirements.txt
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(RUN) -m e4_tools.virtual_board.umqtt
	touch $@

# Apart from .venv: the stubs bear the names of the standard library.
$(STUBS)/.installed: requirements-stubs.txt $(VENV)/.installed
	rm -rf $(STUBS)
	$(RUN) -m pip install --quiet --require-hashes --target $(STUBS) -r requirements-stubs.txt
	touch $@

# Needs pip-tools on the path.
lock:
	pip-compile --generate-hashes --allow-unsafe --strip-extras --no-header --quiet --upgrade \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host requirements.in -o requirements.txt

clean:
	rm -rf $(VENV) build

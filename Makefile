# Every verb works on a fresh clone and a machine that has only Python 3.11 or later.
# The environment is .venv; each extra has a stamp in it, so that a second call is quick and
# `make test` does not wait for what only the demonstration needs.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := ctrlhub controller engine client tests scripts $(wildcard examples benchmarks)

# Downloads stay in the checkout, unless the user says where they belong.
export PIP_CACHE_DIR ?= $(CURDIR)/.cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests start more than a thousand processes; each would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

# Debian has the standard library's own tests in a package for each version of Python.
TESTSUITE = $(shell $(PYTHON) -c 'import sys; print("libpython%d.%d-testsuite" % sys.version_info[:2])')

.DEFAULT_GOAL := help
.PHONY: help demo test conformance chaos fuzz check lint types types-here types-on-win32 types-on-darwin layers bench build clean system-parts

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## a hub, four engines and a real search on real data
	$(BIN)/python examples/digits_search.py $(ARGS)

test: $(VENV)/.test ## every test (ARGS="-m 'not slow' -k name" chooses)
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not conformance" $(ARGS)

conformance: $(VENV)/.test ## the test suites of CPython's executors and of joblib, whole, on engines
	$(BIN)/python -m pytest -n 2 tests/conformance $(ARGS)

chaos: $(VENV)/.test ## processes killed, stopped and cut off under load (ARGS="--seed 7 --seconds 60")
	$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(VENV)/.test ## spoilt traffic against a hub (ARGS="--seed 7 --minutes 5")
	$(BIN)/python -m tests.fuzz $(ARGS)

check: lint types layers ## lint, types and layers

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev ## mypy --strict, as on Linux, Windows and macOS
	$(BIN)/python scripts/link_types.py
	$(MAKE) -j 3 types-here types-on-win32 types-on-darwin

# Each has a cache of its own.
types-here:
	cd build/types && ../../$(BIN)/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache -p ctrlhub

types-on-win32 types-on-darwin: types-on-%:
	cd build/types && ../../$(BIN)/mypy --platform $* -p ctrlhub \
		--config-file ../../scripts/mypy-elsewhere.toml --cache-dir ../../.mypy_cache/$*

layers: $(VENV)/.dev ## import-linter: imports go one way
	$(BIN)/python scripts/link_types.py
	cd build/types && ../../$(BIN)/lint-imports --config ../../pyproject.toml --no-cache

bench: $(VENV)/.bench ## the figures, beside the peers'
	$(BIN)/python -m benchmarks $(ARGS)

build: $(VENV)/.test ## wheel and sdist, in dist/
	rm -rf build dist *.egg-info
	$(BIN)/python -m build

clean: ## remove what was made here, the environment included
	rm -rf $(VENV) .cache build dist *.egg-info .grimp_cache .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache .coverage .coverage.* htmlcov
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

system-parts: ## what tests need from the system (Debian, root)
	@command -v apt-get >/dev/null || { echo "system-parts: needs Debian's apt-get" >&2; exit 1; }
	@[ "$$(id -u)" = 0 ] || { echo "system-parts: needs root" >&2; exit 1; }
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		chromium curl gridengine-client gridengine-exec gridengine-master iproute2 munge nodejs openmpi-bin openssh-client openssh-server postgresql prometheus slurm-wlm systemd $(TESTSUITE)

$(VENV)/.venv:
	@[ -n "$(PYTHON)" ] || { echo "no Python 3.11 or later found; say where: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# An editable install follows the sources by itself; only new requirements call for another.
$(VENV)/.demo $(VENV)/.test $(VENV)/.dev $(VENV)/.bench: $(VENV)/.%: $(VENV)/.venv pyproject.toml
	$(BIN)/python -m pip install -q -e '.[$*]'
	@touch $@

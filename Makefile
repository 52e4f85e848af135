# The entrance for developers: needs Python 3.11 or newer and make, nothing else.

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
# The first interpreter that runs, is new enough and can make environments.
FIND_PYTHON = for name in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done

.PHONY: help setup check test props docs bench demo clean
.DELETE_ON_ERROR:

help:
	@echo "make setup   create $(VENV) and install everything into it"
	@echo "make check   format, lint, types, imports and the quick tests, in under a minute"
	@echo "make test    every test"
	@echo "make props   the property tests with many more examples, and 200 kill -9 rounds"
	@echo "make docs    build the documentation into site/"
	@echo "make bench   run the benchmarks and draw them"
	@echo "make demo    watch it remember a conversation"

setup: $(READY)
	@echo "Ready. Four commands worth knowing:"
	@echo "  make check              before every commit"
	@echo "  make test               everything, as continuous integration runs it"
	@echo "  make demo               watch it remember a conversation"
	@echo "  $(BIN)/pymemos --help   the command line"

# One stamp for the whole environment, so that parallel targets wait for the same set-up.
$(READY): pyproject.toml constraints.txt
	@python="$$($(FIND_PYTHON))"; \
	test -n "$$python" || { echo "No Python 3.11 or newer with venv was found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	test -x $(BIN)/python || "$$python" -m venv $(VENV)
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -m "not slow"

test: $(READY)
	$(BIN)/pytest

props: $(READY)
	HYPOTHESIS_PROFILE=deep PYMEMOS_KILL_ROUNDS=200 $(BIN)/pytest --timeout 3600 -o faulthandler_timeout=3600 tests/properties tests/reliability tests/contracts

docs: $(READY)
	$(BIN)/zensical build --strict

bench: $(READY)
	$(BIN)/python -m benchmarks

demo: $(READY)
	$(BIN)/pymemos demo

clean:
	rm -rf $(VENV) site dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .cache

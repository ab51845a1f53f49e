# Everything is done from here. Needs Python 3.11 to 3.13, pip, make and git; the rest is fetched into .venv.
#
#   make PYTHON=/path/to/python3.12 install    which Python makes .venv
#   make test PYTEST_ARGS="-k feed -x"         arguments of pytest
#   make bench PEER=http://127.0.0.1:8000      measures a second server beside ours
#   make soak HOURS=168                        how long; half an hour without it
#   make lock UPGRADE=1                        takes newer versions; without it only what pyproject.toml asks for changes

PYTHON ?=
PYTEST_ARGS ?=
PEER ?=
HOURS ?= 0.5
UPGRADE ?=

VENV := .venv/bin

# A PYTHONPATH from outside would let other people's modules stand in for the locked ones.
unexport PYTHONPATH PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help install run test test-unit check check-format check-lint check-types check-imports check-limits check-lock \
	format bench faults soak lock clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

install: ## .venv with both commands, every extra and all tools of test and check
	@PYTHON="$(PYTHON)" sh scripts/install.sh

run: install ## the daemon, then the console; without a terminal the daemon in the foreground
	@exec $(VENV)/memdeck up

test: install ## all tests; on Debian as root it first installs the servers that they need
	@$(VENV)/python -m scripts.servers
	@$(VENV)/python -m pytest $(PYTEST_ARGS)

test-unit: install ## the tests without I/O
	@$(VENV)/python -m pytest tests/unit $(PYTEST_ARGS)

check: check-format check-lint check-types check-imports check-limits check-lock ## format, lint, types, rules of the house, limits, lock

check-format: install
	@$(VENV)/ruff format --check

check-lint: install
	@$(VENV)/ruff check

check-types: install
	@$(VENV)/mypy

check-imports: install
	@$(VENV)/lint-imports --no-cache

check-limits: install
	@$(VENV)/python -m scripts.check_limits

check-lock: install
	@$(VENV)/python -m scripts.lock --check

format: install ## formats and mends what ruff can
	@$(VENV)/ruff check --fix-only
	@$(VENV)/ruff format

bench: install ## every figure of this machine as a table, and as JSON under docs/reports
	@$(VENV)/python -m bench $(if $(PEER),--peer "$(PEER)")

faults: install ## kills, outages, crowds, fuzzing and a soak in their long form, and docs/reports/faults.json; hours
	@$(VENV)/python -m scripts.servers
	@$(VENV)/python -m bench.faults

soak: install ## steady load for HOURS: memory, descriptors and tasks must not grow
	@$(VENV)/python -m bench.faults.soak --hours "$(HOURS)" --json docs/reports/soak.json

lock: install ## requirements.lock anew from pyproject.toml
	@$(VENV)/python -m scripts.lock $(if $(UPGRADE),--upgrade)

clean: ## removes .venv, caches and what was built; memories stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist snapshot_report.html
	@find common daemon console tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# Every target sets up what it needs. `make run` is the whole platform on this machine; Ctrl-C stops it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install install-dev browser warm run smoke drill test lint format bench bench-peers simulate sabotage screenshots lock clean

PY := .venv/bin/python
export PYTHONPATH := .:platform
export HELIOGRAPH_VAR ?= var

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

install: ## make .venv with what `make run` needs, and compile the engine
	@deploy/local/install.sh run
	@$(PY) -m engine warm

install-dev:
	@deploy/local/install.sh dev

browser:
	@deploy/local/install.sh browser

warm: install-dev
	@$(PY) -m engine warm

run: ## everything: services, exchange, engine, web, the demo; a second run goes on from what is there
	@deploy/local/install.sh run
	@exec $(PY) -m control.local run

smoke: install-dev browser ## the same on free ports in a temporary var, checked; KEEP=1 leaves it running
	@$(PY) -m control.local smoke

drill: install-dev warm ## kill -9 everything but the exchange while it trades, and compare; KILLS=200 SEED=1
	@$(PY) -m control.local drill --kills $(or $(KILLS),200) --seed $(or $(SEED),1)

test: warm browser ## all tests, but for the sabotages
	@$(PY) -m pytest -m "not sabotage"

sabotage: warm ## breaks copies of the engine one by one: sessions in virtual time must find each
	@$(PY) -m pytest -s -m sabotage tests/simulation

lint: install-dev ## ruff, mypy, import-linter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy engine platform/control
	@.venv/bin/lint-imports

format: install-dev ## put the code into form
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

bench: warm ## every benchmark, one JSON line each
	@for file in $(wildcard tests/bench/bench_*.py); do $(PY) "$$file" || exit 1; done

bench-peers: warm ## our daily case beside vectorbt's and backtrader's, each in a virtual environment of its own
	@$(PY) tests/bench/peers/bench_peers.py

simulate: warm ## SEEDS=n sessions in virtual time with faults drawn from their seeds (FIRST=k)
	@$(PY) -m engine simulate --seeds $(or $(SEEDS),300) --first $(or $(FIRST),1) --processes $(or $(PROCESSES),2)

screenshots: install-dev browser ## the main pages of a short run, as png files under var/screenshots
	@$(PY) -m control.local smoke --screenshots $(HELIOGRAPH_VAR)/screenshots

lock: install-dev ## resolve requirements*.in again
	@for name in requirements requirements-dev; do .venv/bin/pip-compile --quiet --strip-extras --annotation-style=line \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
		--output-file=$$name.txt $$name.in; done

clean: ## remove var/, .venv and caches; refuses while a run is going on
	@if [ -x $(PY) ]; then $(PY) -m control.local clean; fi
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# Each target does the set-up it needs; stamp files in .venv say what is done. `make` alone explains.
SHELL := /bin/sh
PORT ?= 8000
HOST ?= 127.0.0.1
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Test processes side by side: one more than the two cores of CI, as many tests wait for other processes.
JOBS ?= 3
# Tests go out one by one in the order of conftest.py, and a group of them to one process.
SIDE_BY_SIDE = -q -n $(JOBS) --dist loadgroup --no-loadscope-reorder
# Where pip finds torch, if not where it finds the rest: see .env.example.
TORCH_INDEX_URL ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
# Complete and hashed lists: nothing that is not on them is ever installed.
INSTALL := $(PIP) install --quiet --quiet --no-deps --require-hashes
RUN_TOOLS := $(VENV)/.installed-run
DEV_TOOLS := $(VENV)/.installed-dev
LOCK := $(VENV)/bin/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes --universal --python-version 3.11
# Asked for by the packages of faces.in, and not used by what we use of them.
UNUSED := tensorflow backports-strenum

.DEFAULT_GOAL := help
.PHONY: help setup start test faults lint format bench screenshots lock chromium

help: ## Show this
	@echo "ActorTrain. The targets install what they need by themselves:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo "Variables are explained in .env.example."

setup: $(RUN_TOOLS) ## Install what the site and the worker need into .venv

start: $(RUN_TOOLS) ## Run everything in the foreground; PORT=8010 and HOST=0.0.0.0 as you like
	@exec $(PY) -m actortrain_site.start --host $(HOST) --port $(PORT)

test: $(RUN_TOOLS) $(DEV_TOOLS) chromium ## Run all tests, and those that touch the database again on PostgreSQL
	@status=0; \
	export PYTHONDONTWRITEBYTECODE=; \
	echo "On PostgreSQL:"; \
	$(PY) -m tests.postgres $(PY) -m pytest $(SIDE_BY_SIDE) --ignore tests/worker \
		-m "(database or postgres) and not (browser or slow)" || status=1; \
	echo "On SQLite, everything:"; \
	$(PY) -m pytest $(SIDE_BY_SIDE) -m "not postgres" || status=1; \
	exit $$status

faults: $(RUN_TOOLS) $(DEV_TOOLS) ## Kill everything 100 times on SQLite and on PostgreSQL, and judge what is left (20 minutes)
	$(PY) -m tests.faults.run --rounds 100
	$(PY) -m tests.postgres $(PY) -m tests.faults.run --rounds 100

lint: $(RUN_TOOLS) $(DEV_TOOLS) ## Check style, types, settings and migrations
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy .
	$(PY) manage.py check --fail-level WARNING
	$(PY) manage.py makemigrations --check --dry-run

format: $(DEV_TOOLS) ## Format the code and fix what ruff can fix
	$(VENV)/bin/ruff check --fix-only --quiet .
	$(VENV)/bin/ruff format .

bench: $(RUN_TOOLS) $(DEV_TOOLS) ## Run the benchmarks
	$(PY) -m benchmarks

screenshots: $(RUN_TOOLS) $(DEV_TOOLS) chromium ## Take the pictures of the documentation again
	$(PY) -m tests.screenshots

# The worker comes first: it installs on its own, and the site agrees with it.
lock: $(DEV_TOOLS) ## Lock the requirements again, after a change of an .in file (UPGRADE=1 takes newer versions)
	echo 'torch ; sys_platform == "never"' | $(LOCK) $(if $(UPGRADE),--upgrade) --overrides /dev/stdin --no-emit-package torch worker/requirements.in -o worker/requirements.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) -c worker/requirements.txt requirements/site.in -o requirements/site.txt
	printf '%s\n' $(UNUSED) | $(LOCK) $(if $(UPGRADE),--upgrade) --excludes /dev/stdin requirements/faces.in -o requirements/faces.txt
	printf '%s\n' $(UNUSED) | $(LOCK) $(if $(UPGRADE),--upgrade) --excludes /dev/stdin requirements/dev.in -o requirements/dev.txt

$(PY):
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ActorTrain needs Python 3.11 or newer. Install it, or say where it is: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python's venv module is missing (on Debian: apt-get install python3-venv)." >&2; exit 1; }

$(RUN_TOOLS): requirements/site.txt worker/requirements.txt worker/torch.txt | $(PY)
	@echo "Installing the site and the worker into $(VENV): about 1.5 GB, a minute or two ..."
	@$(INSTALL) -r requirements/site.txt -r worker/requirements.txt
	@$(PIP) install --quiet --quiet -r worker/torch.txt $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL))
	@touch $@

$(DEV_TOOLS): requirements/dev.txt | $(PY)
	@echo "Installing the tools for tests and lint ..."
	@$(INSTALL) -r requirements/dev.txt
	@touch $@

# Browser tests want a real Chromium: CHROMIUM=/path, one on the PATH, or Debian's.
chromium:
	@for name in "$$CHROMIUM" chromium chromium-browser google-chrome; do \
		if [ -n "$$name" ] && command -v "$$name" >/dev/null; then exit 0; fi; \
	done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium fonts-liberation >/dev/null; \
	else \
		echo "The browser tests need Chromium: install it, or set CHROMIUM to its path." >&2; exit 1; \
	fi

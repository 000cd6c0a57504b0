# make book   the whole study on the embedded dataset, from nothing to a rendered book
# make test   linter, type checker, unit tests, the notebooks on tiny data, the book with warnings as errors
# Both make .venv first (Python 3.11); `make setup` makes .venv alone.

DATASET ?= iot-shop
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
BIN     := .venv/bin
# A chapter's models run side by side, as many as there are cores and 3 GiB of memory for; SCHEDULER= runs one at a time.
SCHEDULER ?= local
RUNS     = $(if $(SCHEDULER),--scheduler $(SCHEDULER))
# `make book` ends MRLM's trainings after so many epochs, to take an hour or two and not three; the book names those that
# validation would have trained for longer. EPOCHS= trains them all to their end.
EPOCHS  ?= 20
SOONER   = $(if $(EPOCHS),--set 'settings={training.max_epochs: $(EPOCHS)}')
STAMP   := .venv/.installed

export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1

# One thread a run: side by side that is faster than two, which wait for each other, and the same bits with any SCHEDULER.
book study lab: export TF_NUM_INTRAOP_THREADS ?= 1

.PHONY: setup book test study bench lab clean lock
.DELETE_ON_ERROR:

setup: $(STAMP)

# The stamp is newer than the lock and the project file only after an installation that ended well.
$(STAMP): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "make: the locked environment needs Python 3.11; found: $$("$(PYTHON)" --version 2>/dev/null || echo none)." >&2; \
	  echo "      Install it and run: make setup PYTHON=/path/to/python3.11 (or use environment.yml with conda)." >&2; \
	  exit 1; }
	@echo "Installing the locked environment into .venv (minutes the first time)"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install -q --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

data/iot-shop/dataset.yml: | $(STAMP)
	$(BIN)/mrlm data make iot-shop

book: $(STAMP) data/iot-shop/dataset.yml
	$(BIN)/mrlm study iot-shop $(RUNS) $(SOONER)
	$(BIN)/mrlm book

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

study: $(STAMP) $(if $(filter iot-shop,$(DATASET)),data/iot-shop/dataset.yml)
	$(BIN)/mrlm study $(DATASET) $(RUNS)

bench: $(STAMP)
	$(BIN)/python -m benchmarks

lab: $(STAMP)
	$(BIN)/jupyter lab notebooks

# Keeps data/, artefacts/ and runs/, which are costly; remove those folders by hand to start from nothing.
clean:
	rm -rf _build book/executed .mypy_cache .ruff_cache .pytest_cache

# Renews the pins after a change of pyproject.toml's dependencies; needs uv.
lock:
	uv pip compile pyproject.toml --extra dask --extra dev --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --output-file requirements.lock

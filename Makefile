# make demo    a server, a new encoder, clips before and after, in demo-out/
# make serve   the server on http://127.0.0.1:3000
# make test    the whole suite: lint, types, imports, tests
# make bench-starter, make bench-forgetting    what is claimed of the built-in model and of unlearning
# make bench-serving    what is claimed of serving, against servers written without it
# make bench-memory    what each family takes of a device's memory, computed from configurations
# make bench-true-sizes    seconds and memory at the sizes of Stable Diffusion 1.5, on a GPU
#
# Each installs what it needs into .venv first: Python 3.11 or newer and make are enough.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

export BENTOML_DO_NOT_TRACK := True
export BENTOML_HOME ?= $(CURDIR)/data/bentoml

.PHONY: demo serve test test-slow lint format bench-starter bench-forgetting bench-serving bench-memory bench-true-sizes clean

demo: $(INSTALLED)
	$(BIN)/python -m demo

serve: $(INSTALLED)
	$(BIN)/bentoml serve service:Palimpsest --timeout-graceful-shutdown 20

test: lint
	$(BIN)/pytest -m "not slow"

# What takes minutes each: the Bento in a fresh environment of its own.
test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-starter: $(INSTALLED)
	$(BIN)/python -m benchmarks.starter

bench-forgetting: $(INSTALLED)
	$(BIN)/python -m benchmarks.forgetting
	test -n "$$QUICK" || $(BIN)/python -m benchmarks.forgetting.speed

bench-serving: $(INSTALLED)
	$(BIN)/python -m benchmarks.serving

bench-memory: $(INSTALLED)
	$(BIN)/python -m benchmarks.memory

bench-true-sizes: $(INSTALLED)
	$(BIN)/python -m benchmarks.true_sizes

# torch first and by itself: with a CPU-only index or wheel at hand, this is the line that uses it.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo-out

# make demo    start a server, make an encoder, write clips before and after to demo-out/
# make serve   start the server on http://127.0.0.1:3000
#
# make test-fast   tests that start no server and train nothing (about 3 minutes on two cores)
# make test        lint, then all tests that are not marked slow (about 15 minutes)
# make test-slow   the tests marked slow (about 30 minutes)
# make test-studio the studio in a browser, slow tests (about 10 minutes); needs Debian's chromium
# make test-back-ends   the server's own tests once more, on PostgreSQL and an S3 (about 15 minutes)
# make lint        ruff, pyright and lint-imports; .pre-commit-config.yaml runs the same at a commit
# make format      apply ruff's fixes and its format
#
# make bench-starter      quality of the built-in model
# make bench-forgetting   unlearning, compared with published methods
# make siblings           text encoders of other kinds for bench-forgetting, which makes them too
# make bench-serving      serving, compared with plain diffusers servers
# make bench-faults       kills, outages, hostile requests and crowds; some parts need root and strace
# make bench-marking      marks of clips: what they survive, what they cost
# make bench-memory       device memory of each model family, computed from its configuration
# make bench-true-sizes   seconds and memory at the sizes of Stable Diffusion 1.5, on a GPU
# make bench-operations   operations of making an encoder at those sizes, counted on a CPU
# make bench-replicas     several servers on one database: throughput, and kills
# make bench-dashboard    the dashboard over a server under load, drawn from a Prometheus (Debian's)
# make bench-studio       three tasks in the studio, its pictures in the documentation, 50 open pages
# make bench-gpu          all that is measured on a GPU, in at most eight minutes
#
# make deploy-check   chart, compose file, dashboard and alerts, rendered and checked; needs promtool
# make image-check    build the container images without a daemon, run them, ask each for a video; needs
#                     root, and Debian's mmdebstrap, buildah, podman and runc
#
# make clean   remove .venv and demo-out/
#
# Each target first installs what it needs into .venv. Python 3.11 or newer and make are enough.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two processes of one thread each take half the time of one process of two threads. A file's tests run
# in one process and share its fixtures. The slowest tests are listed at the end of each run.
PROCESSES := 2
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile --durations=15

export BENTOML_DO_NOT_TRACK := True
# Servers and commands that tests start would compile all modules again where this is set.
unexport PYTHONDONTWRITEBYTECODE
export BENTOML_HOME ?= $(CURDIR)/data/bentoml

.PHONY: demo serve test test-fast test-slow test-studio test-back-ends lint format bench-starter bench-forgetting bench-serving bench-faults bench-marking bench-memory bench-true-sizes bench-operations bench-gpu bench-replicas bench-dashboard bench-studio siblings deploy-check image-check clean

demo: $(INSTALLED)
	$(BIN)/python -m demo

serve: $(INSTALLED)
	$(BIN)/palimpsest serve

test: lint
	$(PYTEST) -m "not slow"

test-fast: $(INSTALLED)
	$(PYTEST) -m "not slow and not server and not training"

# Most of these tests wait for servers that they have started.
test-slow: PROCESSES := 3
test-slow: $(INSTALLED)
	$(PYTEST) -m slow --ignore tests/studio

# In a browser, against a server that makes encoders: alone, since it waits for what is drawn in time.
test-studio: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow tests/studio

# tests/back_ends.py says what it leaves out.
test-back-ends: $(INSTALLED)
	$(PYTEST) -m "not slow" --database postgresql --store s3 tests/server

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

bench-replicas: $(INSTALLED)
	$(BIN)/python -m benchmarks.replicas

bench-studio: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.studio

bench-dashboard: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.dashboard

siblings: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.siblings

bench-serving: $(INSTALLED)
	$(BIN)/python -m benchmarks.serving

bench-faults: $(INSTALLED)
	$(BIN)/python -m benchmarks.faults

bench-marking: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.marking

bench-memory: $(INSTALLED)
	$(BIN)/python -m benchmarks.memory

bench-true-sizes: $(INSTALLED)
	$(BIN)/python -m benchmarks.true_sizes

bench-operations: $(INSTALLED)
	$(BIN)/python -m benchmarks.operations

bench-gpu: $(INSTALLED)
	$(BIN)/python -m benchmarks.gpu

deploy-check: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/deploy

image-check: $(INSTALLED)
	$(BIN)/python -m deploy.check_image

# torch first, in a command of its own: where a CPU-only index or wheel is configured, it is used.
$(INSTALLED): pyproject.toml constraints.txt encoders/version.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) demo-out

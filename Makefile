# Two commands do everything on a fresh machine:
#   make study STUDY=examples/quickstart.yaml
#   make test
# `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# What says that the environment is whole; empty in compose/Dockerfile, whose image brings one that cannot be written.
INSTALLED ?= $(VENV)/.installed
ARGS   ?=

# Without an NVIDIA driver the CPU build of torch is installed: the default build brings gigabytes of CUDA libraries
# that could not be used. Wheels of the CPU build that pip already knows of come first, then PyTorch's own index.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements.lock)

PIP := $(BIN)/python -m pip --disable-pip-version-check

# A private Docker engine, so that containers are tested with a real one on every Linux machine where root is had.
ENGINE = TORCH_CPU_INDEX=$(TORCH_CPU_INDEX) $(BIN)/python tests/engine/docker

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' orchestrator/llem/version.py)
BUILD_IMAGES = $(BIN)/llem images build $(BACKEND) $(if $(VARIANT),--variant $(VARIANT))

.PHONY: help setup study images push test test-gpu lint bench bench-accuracy engine-up engine-down engine-host clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 — /p' Makefile

setup: $(INSTALLED) ## the virtual environment with everything that a study needs

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "llem needs Python 3.11 or newer: make PYTHON=python3.11 …" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) (once; some minutes) …" >&2
	@if ! test -e /proc/driver/nvidia/version; then \
	  $(PIP) install --quiet --no-deps "$(TORCH)+cpu" 2>/dev/null || \
	  $(PIP) install --quiet --no-deps --extra-index-url $(TORCH_CPU_INDEX) "$(TORCH)+cpu"; fi
	@if test -e /proc/driver/nvidia/version; then $(PIP) install --quiet "$(TORCH)"; fi
	@$(PIP) install --quiet --no-deps -r requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# vLLM is tested in this process, too, by its CPU build. On a machine with a GPU torch stays the build that is there.
$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock images/vllm/requirements-cpu.lock
	@$(PIP) install --quiet --no-deps -r requirements-dev.lock
	@sed '/^torch==/d' images/vllm/requirements-cpu.lock > $(VENV)/vllm.lock
	@$(PIP) install --quiet --no-deps -r $(VENV)/vllm.lock
	@touch $@

study: $(INSTALLED) ## run a study: make study STUDY=examples/quickstart.yaml
	@test -n "$(STUDY)" || { echo "Which study? make study STUDY=examples/quickstart.yaml" >&2; exit 2; }
	@$(BIN)/llem run $(STUDY) $(ARGS)

images: $(INSTALLED) ## the images that runs are made from: make images [BACKEND=vllm] [VARIANT=cpu|cuda]
	@$(BUILD_IMAGES) $(ARGS)

push: $(INSTALLED) ## … built and sent to a registry: make push REGISTRY=ghcr.io/me [BACKEND=…] [VARIANT=…]
	@test -n "$(REGISTRY)" || { echo "Where to? make push REGISTRY=ghcr.io/me" >&2; exit 2; }
	@test -z "$(TAG)" || test "$(TAG)" = "v$(VERSION)" || { echo "The tag $(TAG) is not of this version: v$(VERSION)" >&2; exit 2; }
	@$(BUILD_IMAGES) --push $(REGISTRY) $(ARGS)

test: $(VENV)/.installed-dev ## everything that can be tested here, with one summary at the end
	@$(ENGINE) around $(BIN)/python -m pytest $(ARGS)

test-gpu: $(VENV)/.installed-dev ## the same checks on a real NVIDIA GPU: its sensor, Zeus beside us, the recorder's cost
	@$(BIN)/python -m tests.gpu $(ARGS)

lint: $(VENV)/.installed-dev ## format, style, types, the arrows between the rooms, Dockerfiles, workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint images/*/Dockerfile compose/Dockerfile
	$(BIN)/actionlint

bench: $(VENV)/.installed-dev ## the figures of the README: speed and accuracy, ratios side by side
	$(BIN)/python -m tests.bench $(ARGS)

bench-accuracy: $(VENV)/.installed-dev ## our joules and others' side by side, and docs/validation.md anew; ARGS=--quick is a sample
	$(BIN)/python -m tests.bench.accuracy $(ARGS)

engine-up: $(VENV)/.installed-dev ## the tests' Docker engine: up, with its images (minutes the first time, then seconds)
	@$(ENGINE) up

engine-down: $(VENV)/.installed-dev ## … and down: no process, mount, bridge or firewall rule stays
	@$(ENGINE) down

engine-host: $(VENV)/.installed-dev ## … and its address: export DOCKER_HOST="$$(make -s engine-host)"
	@$(ENGINE) host

clean: ## remove the virtual environment and caches (never results)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

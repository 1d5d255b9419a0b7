# `make demo` shows the main job on a local fleet, `make test` proves everything. Both set up what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := $(CURDIR)/.venv
export VIRTUAL_ENV := $(VENV)
export PATH := $(VENV)/bin:$(PATH)
export ANSIBLE_FORCE_COLOR ?= 0

TOPOLOGY ?= centralized
# The release that the lab runs: an archive of upstream's and its version, or the version alone where upstream can be
# reached. Without them it is the lab's own 0.9.3.
OLLAMA_ARCHIVE ?=
OLLAMA_VERSION ?=
override OLLAMA_ARCHIVE := $(if $(OLLAMA_ARCHIVE),$(shell realpath --canonicalize-missing -- "$(OLLAMA_ARCHIVE)"))
export OLLAMA_ARCHIVE OLLAMA_VERSION
# The Debian of the hosts: bookworm (12) or trixie (13).
LAB_DEBIAN ?=
export LAB_DEBIAN
# The ansible-core of a control host in the lab; without it this machine is the control host.
LAB_ANSIBLE ?=
export LAB_ANSIBLE
SCENARIOS := model_update programs default fleet fleet_trixie takeover gateway firewall

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

.PHONY: setup
setup: ## Make this machine ready: packages, Docker engine, virtual environment
	@lab/bootstrap.sh tests

# A release that was given is looked at before anything starts with it.
.PHONY: ollama-release
ollama-release: setup
	@[ -z "$(OLLAMA_ARCHIVE)$(OLLAMA_VERSION)" ] || PYTHONPATH=. python -m lab.artifacts >/dev/null

.PHONY: demo
demo: ## A real Ollama on a local fleet, and a validator that stalls; TOPOLOGY=distributed, VALIDATORS=21, OLLAMA_VERSION=0.34.2
	@lab/bootstrap.sh demo
	@lab/demo.sh $(TOPOLOGY)

.PHONY: demo-clean
demo-clean: ## Remove the demo's hosts and network
	@mkdir -p .ansible
	@lab/fleet.sh destroy demo >.ansible/demo-clean.log 2>&1 || { cat .ansible/demo-clean.log; exit 1; }
	@echo 'The demo is gone; the download cache stays.'

# Two at a time: a scenario waits for its hosts as often as it computes. The longest come first, so that both lanes end
# together. The output of each comes when it has ended.
.PHONY: test
test: ollama-release ## Everything; OLLAMA_ARCHIVE=…/ollama-linux-amd64.tar.zst OLLAMA_VERSION=0.34.2
	+@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint $(addprefix scenario-,$(SCENARIOS)) unit sanity build published
	@echo 'Everything passed.'

.PHONY: lint
lint: setup ## Formatting, types and lint
	ruff format --check .
	ruff check .
	tests/mypy.sh
	yamllint --strict .
	ansible-lint --offline
	antsibull-changelog lint
	git ls-files '*.sh' .ci/run | xargs shellcheck

.PHONY: sanity
sanity: setup ## ansible-test sanity, on a copy at the path that it wants
	tests/sanity.sh

.PHONY: unit
unit: setup ## Unit tests
	pytest

.PHONY: build
build: setup ## Build the collection, install it into an empty place and run it from there by its full names
	tests/installed.sh

# What makes and checks releases and the docs site stands in an environment of its own.
PUBLISHING := $(CURDIR)/.ansible/publishing
WITH_PUBLISHING := PATH=$(PUBLISHING)/bin:$$PATH
$(PUBLISHING)/ready: requirements/publishing.txt | setup
	@cmp --silent $< $(PUBLISHING)/requirements.txt || { \
	  echo 'Installing Python packages: $<' && python -m venv --clear $(PUBLISHING) && \
	  $(PUBLISHING)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $< && \
	  cp $< $(PUBLISHING)/requirements.txt; }
	@touch $@

.PHONY: published
published: $(PUBLISHING)/ready ## Make a release twice and compare; check docs site, links, licences, packages and workflows
	$(WITH_PUBLISHING) tests/published.sh

.PHONY: release
release: $(PUBLISHING)/ready ## A release of this commit in dist: archive, packages' list, docs, checksums; VERSION=1.0.0 commits and tags it first
	$(WITH_PUBLISHING) VERSION=$(VERSION) publishing/release.sh dist
	$(WITH_PUBLISHING) publishing/importer.sh dist/*[0-9].tar.gz

.PHONY: docs
docs: $(PUBLISHING)/ready ## The docs site, in dist/docs, its links checked
	$(WITH_PUBLISHING) publishing/docs.sh dist/docs
	@echo 'Open dist/docs/index.html'

.PHONY: links
links: $(PUBLISHING)/ready ## Try the links to other hosts too (needs the internet; make test does without)
	$(WITH_PUBLISHING) lychee --no-progress --hidden --include-fragments $$(git ls-files '*.md')

.PHONY: $(addprefix scenario-,$(SCENARIOS))
$(addprefix scenario-,$(SCENARIOS)): scenario-%: ollama-release
	molecule test --scenario-name $*

.PHONY: benchmark
benchmark: setup ## The figures of benchmarks/README.md, measured in one run
	python benchmarks/run.py

.PHONY: benchmark-client
benchmark-client: setup ## The figures of benchmarks/ollama_client.md, measured in one run
	PYTHONPATH=$(OLLAMA_CLIENT)/src:tests/unit/ollama_client python benchmarks/ollama_client_figures.py

# A model of 8 billion parameters on a CPU needs hours for all: what was cut off goes on at FIRST.
.PHONY: injections
injections: setup ## Ask the client's model about 960 fleets with orders hidden in the data; fails if it says healthy; FIRST=101, COUNT=50
	PYTHONPATH=$(OLLAMA_CLIENT)/src:tests/unit/ollama_client python benchmarks/injected.py \
	  $(if $(FIRST),--first $(FIRST)) $(if $(COUNT),--count $(COUNT))

.PHONY: benchmark-gateway
benchmark-gateway: setup ## What the gateway adds to a question, measured in one run
	PYTHONPATH=tests/unit/gateway python benchmarks/gateway.py

.PHONY: benchmark-update
benchmark-update: setup ## The figures of benchmarks/model_update.md, measured in one run
	PYTHONPATH=. python benchmarks/model_update.py

PIP_COMPILE := $(CURDIR)/.ansible/pip-tools/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
  --no-header --no-emit-index-url --no-emit-find-links --no-emit-options
# pip-compile can pin only for the Python that it runs on.
UV_COMPILE := $(CURDIR)/.ansible/pip-tools/bin/uv pip compile --quiet --python-version 3.13 --generate-hashes --no-header
GIZZI_API := roles/gizzi_api/files/gizzi-api
OLLAMA_CLIENT := roles/ollama_client/files/ollama-client
MODEL_UPDATE := roles/model_update_timer/files/gizzi-model-update

.PHONY: requirements
requirements: setup ## Pin requirements/dev.in and the programs' requirements.in again
	python -m venv $(CURDIR)/.ansible/pip-tools
	$(CURDIR)/.ansible/pip-tools/bin/pip install --quiet pip-tools==7.6.2 uv==0.13.9
	$(PIP_COMPILE) --output-file $(GIZZI_API)/requirements.txt $(GIZZI_API)/requirements.in
	$(PIP_COMPILE) --output-file $(OLLAMA_CLIENT)/requirements.txt $(OLLAMA_CLIENT)/requirements.in
	$(PIP_COMPILE) --output-file $(MODEL_UPDATE)/requirements.txt $(MODEL_UPDATE)/requirements.in
	$(PIP_COMPILE) --output-file requirements/dev.txt requirements/dev.in
	$(PIP_COMPILE) --output-file requirements/demo.txt requirements/demo.in
	$(PIP_COMPILE) --output-file requirements/publishing.txt requirements/publishing.in
	$(UV_COMPILE) --output-file requirements/ansible-2.21.txt requirements/ansible-2.21.in

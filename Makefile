# hopline.  `make` alone lists the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
CONFIG ?= configs/tiny.toml
OUTPUT ?= hopline-output
WORKERS ?= 1

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

##@ Start here
.PHONY: help setup run
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv with everything in it (Python 3.11 to 3.13)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13; remedy: make PYTHON=python3.12 setup" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "error: $(PYTHON) cannot make virtual environments; remedy: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: setup ## run the whole pipeline (CONFIG, OUTPUT and WORKERS may be set)
	$(BIN)/hopline run --config $(CONFIG) --output $(OUTPUT) --workers $(WORKERS)

##@ Containers
VERSION = $(shell sed -n 's/^VERSION = "\(.*\)"$$/\1/p' hopline/runtime/version.py)
REVISION = $(shell git rev-parse HEAD 2>/dev/null)$(shell git diff --quiet HEAD 2>/dev/null || echo +changes)
# Kubeflow takes an image's name for its content: a tag is a commit and never moves.  The version is a tag of its release
# alone, which is the commit with the git tag v$(VERSION).
TAG ?= $(or $(shell git rev-parse --short=12 HEAD 2>/dev/null),$(VERSION))$(if $(findstring +changes,$(REVISION)),-changes)
RELEASE = $(if $(findstring +changes,$(REVISION)),,$(filter v$(VERSION),$(shell git tag --points-at HEAD 2>/dev/null)))
TAGS = $(TAG) $(if $(RELEASE),$(VERSION))
BUILD = docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
	$(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) --build-arg PIP_INDEX_URL

.PHONY: images image-gpu test-docker test-prism test-cluster test-kueue test-browser test-lm-eval
images: ## build the images of all steps, tagged by commit (BASE_IMAGE=name@sha256:... and TAG may be set)
	$(BUILD) --file docker/control.Dockerfile $(TAGS:%=--tag hopline-control:%) .
	$(BUILD) --file docker/train.Dockerfile $(TAGS:%=--tag hopline-train:%) .
	$(BUILD) --file docker/preprocess.Dockerfile $(TAGS:%=--tag hopline-preprocess:%) .

image-gpu: ## build the image that trains on GPUs, tagged by commit and -gpu (BASE_IMAGE and TAG may be set)
	$(BUILD) --build-arg ACCELERATOR=gpu --file docker/train.Dockerfile $(TAGS:%=--tag hopline-train:%-gpu) .
	docker run --rm --read-only --tmpfs /tmp --network none --entrypoint python3 hopline-train:$(TAG)-gpu -c \
		'import sys, tensorflow as tf; sys.exit(not tf.sysconfig.get_build_info()["is_cuda_build"])'

test-docker: setup ## build the images and test them: needs a Docker engine, no image registry
	HOPLINE_IMAGE_TAG=$(TAG) $(BIN)/python -m pytest --durations=15 -m docker

test-browser: setup ## look at the reports in a browser: needs Chromium
	$(BIN)/python -m pytest --durations=15 -m browser

test-lm-eval: setup ## score a model by the LM Evaluation Harness, which is installed first
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lm-eval]'
	$(BIN)/python -m pytest --durations=15 -m lm_eval

PRISM ?= build/prism/bin/prism
test-prism: setup ## test preprocessing on Beam's runner Prism, with workers in processes: needs Go (or PRISM may be set)
	[ -x $(PRISM) ] || GOBIN=$(abspath $(dir $(PRISM))) go install \
		github.com/apache/beam/sdks/v2/go/cmd/prism@v$$($(BIN)/python -c 'import apache_beam; print(apache_beam.__version__)')
	PRISM=$(abspath $(PRISM)) $(BIN)/python -m pytest --durations=15 -m prism

test-cluster: setup ## test on the cluster of KUBECONFIG, which has the image (kind load docker-image hopline-train:...)
	$(BIN)/python -m pytest --durations=15 -m cluster

test-kueue: setup ## the same with trainings in a queue: the cluster has Kueue
	$(BIN)/python -m pytest --durations=15 -m kueue

##@ A Kubernetes cluster on this machine
.PHONY: kind-up kind-run kind-down
export PORT ?= 8080
kind-up: setup ## make a kind cluster with Kubeflow Pipelines at http://localhost:8080 (PORT may be set)
	HOPLINE=$(BIN)/hopline TAG=$(TAG) k8s/kind/kind.sh up

kind-run: setup ## run the whole pipeline of configs/kind.toml on it
	HOPLINE=$(BIN)/hopline TAG=$(TAG) k8s/kind/kind.sh run

kind-down: ## remove the cluster, and all that it holds
	TAG=$(TAG) k8s/kind/kind.sh down

##@ While working
.PHONY: test check docs fmt compile dist mutants bench quality constraints sbom clean
test: setup ## run the tests: no network, GPU or cluster needed
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=15 -m 'not docker and not gpu and not cluster and not kueue and not browser and not lm_eval and not prism'

check: setup ## format, lint, types, import contracts, docs and their site
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

docs: setup ## build the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

fmt: setup ## format, and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

compile: setup ## write the Kubeflow pipeline to build/pipeline.yaml
	@mkdir -p build
	$(BIN)/hopline compile --config $(CONFIG) --output build/pipeline.yaml

mutants: setup ## change small things and see whether a test notices (MODULES, MINUTES for each); see tests/mutants.py
	$(BIN)/python -m tests.mutants --minutes $(or $(MINUTES),10) $(MODULES)

DIST ?= build/dist
dist: setup ## make an sdist, and from it a wheel, in build/dist (DIST may be set)
	rm -f $(DIST)/hopline-*
	mkdir -p $(DIST)
	$(BIN)/python -c 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])' $(abspath $(DIST))
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--wheel-dir $(DIST) $(DIST)/hopline-$(VERSION).tar.gz

bench: setup ## measure training throughput against the textbook form
	$(BIN)/python -m benchmarks.train_throughput

quality: setup ## train and score configs/ptb.toml (TRAIN and VALID name the texts): the table of what models are worth
	$(BIN)/python -m benchmarks.quality --train $(TRAIN) --valid $(VALID) --output $(OUTPUT)

constraints: setup ## find the pinned versions anew, and the locks of the images
	$(BIN)/python -m pip install --quiet uv
	{ echo '# Every version that `make setup` and the extras gpu, lm-eval and questions install, found by a resolver for Python 3.11 to 3.13.  Made by: make constraints'; \
		$(BIN)/uv pip compile pyproject.toml --extra dev --extra gpu --extra lm-eval --extra questions --universal --python-version 3.11 --no-annotate --no-header --quiet; \
		} > build-constraints.partial
	mv build-constraints.partial constraints.txt
	$(BIN)/python docker/lock.py

# In an environment of its own: what it needs is no need of ours.
CYCLONEDX = cyclonedx-bom==7.5.0
sbom: setup ## list all that `make setup` installs, with licences, as CycloneDX (build/sbom.json)
	$(PYTHON) -m venv --clear build/cyclonedx
	build/cyclonedx/bin/python -m pip install --quiet --disable-pip-version-check $(CYCLONEDX)
	build/cyclonedx/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file build/sbom.json $(BIN)/python

clean: ## remove what was built; OUTPUT stays
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info

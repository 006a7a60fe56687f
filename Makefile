# `make` lists the targets. Everything is installed into .venv from uv.lock; uv itself into .uv.
SHELL := /bin/bash
.DEFAULT_GOAL := help

UV := .uv/bin/uv
UV_VERSION := 0.13.9
RUN := .venv/bin
STORE ?= ./ups-store
ONLY ?=
BUILDER ?= buildah
TORCH ?= cuda
TAG ?= 0.1.0

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

$(UV):
	python3 -m venv .uv
	.uv/bin/pip install --quiet uv==$(UV_VERSION)

.venv/installed: uv.lock pyproject.toml ups_core/pyproject.toml workflows/pyproject.toml operator/pyproject.toml | $(UV)
	$(UV) sync --locked --all-packages --all-extras --quiet
	@touch $@

.PHONY: install
install: .venv/installed ## Install everything from the lock file

.PHONY: demo
demo: install ## Train and judge a surrogate of the Burgers equation (STORE=s3: on a local S3 server)
ifeq ($(STORE),s3)
	$(RUN)/python tests/s3_server.py --run $(RUN)/ups run examples/quickstart.yaml --store s3://ups-demo/store
else
	$(RUN)/ups run examples/quickstart.yaml --store $(STORE)
endif

.PHONY: test
test: install ## Run every test
	$(RUN)/pytest -n 2 --dist loadgroup

.PHONY: soak
soak: install ## The long versions: 20 kills of a run, 30 of the operator, an outage, 1,000 runs; takes an hour
	UPS_SOAK=1 $(RUN)/pytest -v tests/steps/test_kills.py tests/cluster

.PHONY: cluster-packages
cluster-packages: ## Install what a cluster on this machine takes (as root, Debian)
	apt-get update -qq && apt-get install -qq -y --no-install-recommends $$(cat tests/cluster/machine/packages.txt)

.PHONY: cluster
cluster: install ## Start a real Kubernetes, Argo Workflows and S3 on this machine (as root)
	cd tests/cluster && $(CURDIR)/$(RUN)/python -m machine up

.PHONY: cluster-down
cluster-down: install ## End that cluster
	cd tests/cluster && $(CURDIR)/$(RUN)/python -m machine down

.PHONY: test-cluster
test-cluster: install ## Run the tests that need a cluster (KUBE_CONTEXT=NAME: in one of yours)
	$(RUN)/pytest -v tests/cluster

.PHONY: images
images: ## Build the container images (BUILDER=docker, TORCH=cpu, TAG=...)
	for image in operator data torch laptop; do \
	    $(BUILDER) build -f images/Containerfile --target $$image -t ups-$$image:$(TAG) --build-arg TORCH=$(TORCH) \
	        --build-arg REVISION=$$(git rev-parse HEAD) . || exit 1; \
	done

.PHONY: lint
lint: install ## Check format, style, types, dependencies and generated files
	$(RUN)/ruff format --check
	$(RUN)/ruff check
	$(RUN)/lint-imports
	$(RUN)/pyright

.PHONY: format
format: install ## Format the code
	$(RUN)/ruff check --fix
	$(RUN)/ruff format

.PHONY: crds
crds: install ## Generate charts/ups/crds from the resource models
	$(RUN)/python -m ups_core.api.crds charts/ups/crds

.PHONY: docs
docs: install ## Generate docs/reference from the code
	$(RUN)/python -m ups_workflows.reference docs/reference

.PHONY: bench
bench: | $(UV) ## Measure speed, memory and accuracy beside their peers (ONLY=row,row)
	UV_PROJECT_ENVIRONMENT=.venv-bench $(UV) sync --locked --all-packages --all-extras --group peers --quiet
	.venv-bench/bin/python -m bench $(if $(ONLY),--only $(ONLY))

.PHONY: clean
clean: ## Remove what the targets made, but not the store
	rm -rf .venv .venv-bench .uv build .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# make demo       installs tfnst into .venv and stylises a photo
# make test       installs what the tests need and runs them all
# make test-fast  runs the quick ones in under a minute
# make check      checks format, lint, types, imports, docker/ and serving/kubernetes
# make bench      runs the short benchmarks and writes bench.txt
# make campaign   attacks a server on this machine and prints how it holds
# make clean      deletes .venv and everything that was built

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := setup.cfg pyproject.toml
# Later runs then need no network. Without one now, they say what would help.
FETCH := $(BIN)/tfnst weights --fetch > /dev/null || true

DEMO_CONTENT := examples/images/photo_cat.jpg
DEMO_STYLE := examples/images/style_stained_glass.jpg

# Manifests that are complete by themselves. tests/project/test_docker_and_kubernetes.py
# checks the overlays.
MANIFESTS := $(filter-out %/kustomization.yaml, \
  $(wildcard serving/kubernetes/base/*.yaml serving/kubernetes/overlays/cpu/*.yaml))

# Two processes with whole files each, in our order: the longest first.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-fast check bench campaign clean

demo: $(VENV)/installed
	@mkdir -p demo
	@$(BIN)/tfnst stylize $(DEMO_CONTENT) $(DEMO_STYLE) --size 448 \
	  -o demo/stylized.png --sheet demo/sheet.png
	@echo "The picture: $(CURDIR)/demo/stylized.png"
	@echo "Content, style and result side by side: $(CURDIR)/demo/sheet.png"

test: $(VENV)/installed-dev
	$(PYTEST)

test-fast: $(VENV)/installed-dev
	$(PYTEST) -m "not slow and not network"

check: $(VENV)/installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/*Dockerfile
	$(BIN)/yamllint --strict docker serving
	$(BIN)/kubernetes-validate --strict --quiet $(MANIFESTS)
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker/compose*.yaml
	@if docker compose version > /dev/null 2>&1; then \
	  docker compose -f docker/compose.yaml -f docker/compose.gpu.yaml config --quiet; \
	else echo "No docker compose: compose files were only checked against their schema"; fi

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/short.py

campaign: $(VENV)/installed-dev
	$(BIN)/python benchmarks/serving_campaign.py

clean:
	rm -rf $(VENV) demo build dist tfnst.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "tfnst needs Python 3.10 to 3.13. Name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[offline]'
	@$(FETCH)
	@touch $@

$(VENV)/installed-dev: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[offline,dev]'
	@$(FETCH)
	@touch $@ $(VENV)/installed

$(VENV)/installed-check: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[check]'
	@touch $@

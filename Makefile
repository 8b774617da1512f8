# On a machine with Python 3.11 or newer and make, each target sets up what it needs, once.
# PYTHON chooses the interpreter, VENV the environment's folder, JOBS how many tests run at a time:
#   make test PYTHON=python3.12 VENV=/somewhere/venv JOBS=4

VENV ?= .venv
JOBS ?= 2
EXTRAS = notebooks,test,lint,docs,scale

# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

# Windows puts programs in Scripts, everybody else in bin; a make there runs these lines in Git Bash.
BIN = $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY = $(VENV)/.installed

.PHONY: help run lab site serve pages test torture lint render check bench clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -e 's/:.*## /|/' | awk -F'|' '{ printf "make %-8s %s\n", $$1, $$2 }'

run: $(READY)  ## execute every lesson, print the results, show them as pages in build/site
	$(BIN)/python tools/notebooks.py run

lab: $(READY)  ## open the lessons in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

site: $(READY)  ## build the course's site in build/site from the stored notebooks
	$(BIN)/python -m sphinx -W --keep-going -q -c docs -d build/doctrees . build/site

serve: site  ## build the site and serve it to this computer only; PORT=8000
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site $(or $(PORT),8000)

pages: $(READY)  ## test the site: links, names, and in a browser where there is one
	$(BIN)/python -m pytest -m "docs or browser" tests/docs

test: $(READY)  ## unit tests, notebook checks, and every notebook executed and compared
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope --nbval --nbval-sanitize-with flowerlib/lesson/nbval_sanitize.cfg tests notebooks

torture: $(READY)  ## attacks on files, caches and runs, in full; ATTACK="kills caches" for some
	$(BIN)/python -m tests.fuzz $(ATTACK)
	$(BIN)/python -m tests.project.test_security

lint: $(READY)  ## ruff (check and format), mypy, and the contracts of imports
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

render: $(READY)  ## write notebooks/*.ipynb from the .py files; LESSON=04_flowers for one
	$(BIN)/python tools/notebooks.py render $(LESSON)

check: $(READY)  ## find what is wrong with the stored notebooks, in a second
	$(BIN)/python tools/notebooks.py check

bench: $(READY)  ## measure what results/ holds
	$(BIN)/python -m benchmarks

clean:  ## remove build/ and the tools' caches; .venv stays
	rm -rf build .pytest_cache .ruff_cache .mypy_cache .hypothesis

# Installed again only when pyproject.toml changed.
$(READY): pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "flowerlib needs Python 3.11 or newer; name yours: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	@touch $(READY)

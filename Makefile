PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

.PHONY: install demo test docs docs-pictures
install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "$(PYTHON) is too old: longtail needs Python 3.11; name another one: make PYTHON=python3.12"; exit 2; }
	@echo "installing into .venv; torch is large, this takes some minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/longtail train digits-lt ecl --out runs/demo --resume

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile  # a process a core: more threads would wait for each other

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/site/index.html"

docs-pictures: install
	@test -n "$(CALTECH101)" || { echo "make docs-pictures CALTECH101=FOLDER, which holds train/ and test/ of Caltech-101"; exit 2; }
	PYTHONPATH=. $(BIN)/python -m docs.generate.pictures "$(CALTECH101)"

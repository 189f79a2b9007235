# Two commands do everything: `make demo` and `make test`. Both set the environment up first, once.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
UV     := .uv/bin/uv
UV_PIN := 0.13.8
DEMO   ?= demo-site
NIGHTS := tests/e2e tests/flows tests/chaos
PAGES  := tests/dashboards tests/commands tests/benchmarks
STEPS  := tests/tasks tests/workspace
OTHERS := tests $(addprefix --ignore=,$(NIGHTS) $(PAGES) $(STEPS))

# Bytecode is kept, beside the environment: nights and tests start many processes, and each would compile all it imports.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(abspath .uv)/pycache

.PHONY: demo test check format lock bench clean help

help:
	@echo "make demo    set up, process a campaign, say how to open the dashboard"
	@echo "make test    set up, run every test"
	@echo "make check   set up, run ruff, mypy and import-linter"
	@echo "make bench   set up, print the benchmarks' ratios"
	@echo "make format  set up, format the code"
	@echo "make lock    resolve the dependencies again into requirements.lock"

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_PIN)

$(READY): requirements.lock pyproject.toml | $(UV)
	test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: $(READY)
	$(BIN)/afterwatch demo $(DEMO)

# In four parts side by side, so that no core is idle while some of them wait: what starts servers and processes, what opens pages
# and runs verbs, the steps of a night, and the rest; what the first three say is printed when all are done. Each part computes on
# one core: threads would only wait for one another.
test: export OMP_NUM_THREADS := 1
test: $(READY)
	@said=$$(mktemp -d); \
	$(BIN)/python -m pytest $(NIGHTS) >"$$said/nights" 2>&1 & nights=$$!; \
	$(BIN)/python -m pytest $(PAGES) >"$$said/pages" 2>&1 & pages=$$!; \
	$(BIN)/python -m pytest $(STEPS) >"$$said/steps" 2>&1 & steps=$$!; \
	$(BIN)/python -m pytest $(OTHERS); others=$$?; \
	wait $$steps; steps=$$?; wait $$pages; pages=$$?; wait $$nights; nights=$$?; \
	cat "$$said/steps" "$$said/pages" "$$said/nights"; rm -rf "$$said"; \
	test $$others -eq 0 && test $$steps -eq 0 && test $$pages -eq 0 && test $$nights -eq 0

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy afterwatch flows tasks dashboards evaluation workspace models footage lake infra benchmarks tests
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: | $(UV)
	$(UV) pip compile pyproject.toml --extra dev --generate-hashes --python-version 3.11 --output-file requirements.lock --custom-compile-command "make lock" --quiet

bench: $(READY)
	$(BIN)/afterwatch bench all

clean:
	rm -rf $(VENV) .uv build dist

# make demo    train DreamerV3 on CartPole from pixels until it is solved, and write its report
# make test    the project's tests
# make grade   your answers to the exercises
# All make .venv on first use. PYTHON picks the interpreter: make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: demo test grade check clean
.DEFAULT_GOAL := demo

demo: .venv/installed
	$(BIN)/dreamer-train run=runs/demo until=475

test: .venv/installed
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

grade: .venv/installed
	$(BIN)/course grade

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Without a GPU, PyTorch's CPU index saves gigabytes; if it cannot be reached, pip's own default does.
.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	@if [ "$$(uname)" = Linux ] && ! command -v nvidia-smi >/dev/null && [ ! -e /dev/kfd ]; then \
		$(BIN)/python -m pip install --quiet --timeout 5 --retries 0 --index-url $(CPU_INDEX) "torch>=2.6,<2.14" 2>/dev/null \
		|| echo "PyTorch's CPU index is out of reach: pip decides"; \
	fi
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

clean:
	rm -rf .venv

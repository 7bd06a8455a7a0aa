# The verbs. CI runs them one by one (.ci/run), so what passes here passes there.

SHELL := bash

# So many inputs for each target, some seconds; a longer hunt: make fuzz FUZZTIME=10m. A count, because up to Go 1.26 a
# run that ends by the clock now and then fails with "context deadline exceeded" (golang/go#75804). Minimising is cut
# short as well: by default it may take 60 s for each input that reaches new code.
FUZZTIME ?= 30000x

# Built once for each version of itself and of Go: a linter refuses code that is newer than the Go it was built with.
LINT_VERSION := v2.15.0
LINT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/berth/golangci-lint-$(LINT_VERSION)-$(shell go env GOVERSION)/golangci-lint

# Modules of their own, so that what they depend on stays out of go.mod.
MODULES := $(shell find otelberth guard sessionnats test examples -name go.mod -exec dirname {} \; | sort)

PLATFORMS := $(foreach os,linux darwin windows,$(os)/amd64 $(os)/arm64) linux/386 linux/arm

.PHONY: help test test32 race modules fuzz lint vet cross tidy sim schedules mutants stress storm faults dials attack chaos soak cluster report bench bench-short cycle cycle-compare ci $(MODULES) $(PLATFORMS)

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

test: ## every test of the module
	go test ./...

test32: ## every test with ints of 32 bits, on a kernel that runs such programs
	GOARCH=386 go test ./...

race: ## every test with the race detector
	go test -race -timeout 20m ./...

modules: $(MODULES) ## vet and test otelberth, guard, sessionnats and the modules below test/ and examples/
$(MODULES):
	cd $@ && go vet ./... && go test ./... && go mod tidy -diff

fuzz: ## every fuzz target for a moment (FUZZTIME)
	@set -eo pipefail; go test -list '^Fuzz' ./... | \
	awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { while (n) print $$2, name[--n] }' | \
	while read -r package name; do \
	  (set -x; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$package" </dev/null); \
	done

lint: $(LINT) ## golangci-lint, pinned, in every module
	for module in . $(MODULES); do (cd $$module && $(LINT) run) || exit; done
$(LINT):
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

vet: ## go vet
	go vet ./...

cross: $(PLATFORMS) ## build and vet for every platform
$(PLATFORMS):
	GOOS=$(@D) GOARCH=$(@F) go build ./...
	GOOS=$(@D) GOARCH=$(@F) go vet ./...

tidy: ## gofmt and go mod tidy would change nothing
	gofmt -d .
	go mod tidy -diff

# With points in the middle of turns: see test/sched/points.go. The second run has none, and Go's own order.
sim: ## ten million random operations in virtual time, each seed one history; every order of two moves, also of the hand-over; every sequence of six (50 minutes)
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; overlay=$$(go run ./test/sched/overlay "$$dir"); set -x; \
	go test -count=1 -v -timeout 3h -overlay "$$overlay" -run '^(TestSim|TestSimOnThePollTransport|TestASeedIsOneHistory|TestEveryOrderOfTwoMovesEndsAsItMust)$$' ./test/sim \
	  -sim.scale 1 -sim.seeds 7500 -sim.ops 1500 -sim.twice 10000; \
	go test -count=1 -v -timeout 3h -overlay "$$overlay" -run '^TestTheHandOver' ./actor -handover.orders 100 -handover.seeds 20000
	go test -count=1 -v -timeout 3h -skip '^(TestSim|TestSimOnThePollTransport|TestASeedIsOneHistory|TestEveryOrderOfTwoMovesEndsAsItMust)$$' ./test/sim -sim.scale 1 -sim.seeds 7500 -sim.ops 1500

schedules: ## how many orders it takes to meet each defect put in on purpose: at random, by priorities, exhaustively (70 minutes)
	go test -count=1 -v -timeout 3h -run '^(TestSchedulesNeeded|TestSchedulesOfTheHandOver)$$' ./test/mutants -mutants.schedules all

mutants: ## defects put in on purpose: each must be caught (7 minutes)
	go test -count=1 -v -timeout 60m -run '^TestEveryDefectIsCaught$$' ./test/mutants -mutants all

# A part of it: make stress STRESS=./listener STRESS_COUNT=10.
STRESS ?= ./...
STRESS_COUNT ?= 50
stress: ## every test fifty times, beside a program that takes a core (some hours)
	@while :; do :; done & trap "kill $$!" EXIT; set -x; go test -count $(STRESS_COUNT) -timeout 6h $(STRESS)

storm: ## what goes wrong once in a thousand times, a hundred thousand times
	go test -count=1 -v -timeout 60m ./test/storm -storm.scale 1
	go test -count=1 -v -timeout 60m -run TestAShutdownInAStormOfDials ./listener -shutdowns 1000
	go test -count=1 -v -timeout 60m -run TestTheLinesAreTheSame ./protocol -splits 5000000
	go test -count=1 -v -timeout 60m -race -run TestBothLimits ./connection -credit.operations 50000000

faults: ## a thousand histories of faults that heal, TLS handshakes that stall, every timeout, a hundred restarts under load on each transport, a process that is stopped, clients that never close, a gigabyte through a slow end
	go test -count=1 -v -timeout 60m -run 'TestFaultsDelayAcceptByOneBackOff|TestUnderPairs|TestAStalledHandshakeDelaysNoOther|TestTimeoutsAreExact' ./test/conformance -faults.seeds 1000
	go test -count=1 -v -timeout 60m -run TestRestart ./examples/restart -restarts 100
	go test -count=1 -v -timeout 60m -run TestAPauseOfTheProcessEndsNoConnection ./examples/echo -pause.clients 4000 -pause.every 1s -pause.idle 3s -pause.for 10s
	go test -count=1 -v -timeout 60m -run TestClientsThatNeverCloseKeepNoOtherClientOut ./test/conformance
	go test -count=1 -v -timeout 60m -run TestASlowEndTakesNoMemory ./examples/proxy -proxy.bytes 1073741824 -proxy.rate 134217728

dials: ## ten thousand dials to a server that refuses, resets, stalls and answers at random; a client over twenty restarts of its server
	go test -count=1 -v -timeout 30m ./test/clients -clients.dials 10000 -clients.restarts 20

attack: ## clients that misbehave, thousands of them, and what a good one feels of it
	go test -count=1 -v -timeout 60m ./test/attack -attack.scale 1
	cd test/attack/others && go test -count=1 -v -timeout 60m -run WhichServersSurviveWhat . -attack.scale 1

chaos: ## a random kill every 10 ms under 500 checked clients, a minute on each transport
	go test -count=1 -v -timeout 30m -run TestUnderKills ./test/chaos -chaos.for 60s -chaos.clients 500

soak: ## half an hour of everything at a low rate, both transports at once: nothing may grow
	go test -count=1 -v -timeout 60m -run TestALongLife ./test/chaos -soak.for 30m

cluster: ## three gateways and three nodes of a store killed with -9 in turn for a minute under 300 clients; a store's histories under kills; slow clients and owners on two nodes; what a message between nodes costs (7 minutes)
	cd examples/cluster && go test -count=1 -v -timeout 10m -run TestUnderKills . -cluster.for 60s -cluster.clients 300 -cluster.rooms 10 -cluster.every 1s
	cd examples/cluster && go test -count=1 -v -timeout 10m -run TestCosts . -costs.for 20s -cluster.clients 300 -cluster.rooms 10 -cluster.every 1s
	cd sessionnats && go test -count=1 -v -timeout 10m -run TestUpdatesAreLinearizable . -faults.for 60s
	cd test/cluster && go test -count=1 -v -timeout 20m -run Slow . -slow.clients 50 -slow.bytes 67108864 -slow.for 15s
	cd test/cluster && go test -count=1 -v -timeout 10m -run TestEveryLoadIsMeasured ./cost -cost.preset short
	cd guard && go test -count=1 -v -timeout 10m -run 'Forged|Same' .

# A failing test is in the report too, so the others still run. A part of it: make report REPORT="sim mutants"; the rows
# of other tests stay as they are.
REPORT ?= sim schedules mutants storm faults dials attack chaos soak cluster
report: ## all of these, about four hours; writes test/REPORT.md
	-commit=$$(git describe --always --dirty); for verb in $(REPORT); do BERTH_REPORT=$(CURDIR)/test/rows.jsonl BERTH_COMMIT=$$commit $(MAKE) --no-print-directory $$verb; done
	go run ./test/report/write -prune test/rows.jsonl >test/REPORT.md.new
	mv test/REPORT.md.new test/REPORT.md

bench: ## every benchmark against its peers, about 15 minutes
	cd test/bench && go run . -preset full

bench-short: ## the same in 2 minutes
	cd test/bench && go run . -preset short

# For a comparison: make cycle >before.txt, change something, make cycle >after.txt, then make cycle-compare.
CYCLE_COUNT ?= 10
cycle: ## the time of one message in this process, without the kernel and with it; benchstat reads the output (3 minutes)
	go test -run '^$$' -bench '^BenchmarkCycle$$' -benchtime 300000x -count $(CYCLE_COUNT) -tags berthcycle ./test/cycle
	go test -run '^$$' -bench '^BenchmarkCycle$$' -benchtime 50000x -count $(CYCLE_COUNT) ./test/cycle

cycle-compare: ## benchstat of two outputs of cycle: BEFORE and AFTER
	go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da $(BEFORE) $(AFTER)
BEFORE ?= before.txt
AFTER ?= after.txt

ci: ## all of the above but the benchmarks, as CI does
	bash .ci/run

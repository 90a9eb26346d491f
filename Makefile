# run    builds tpgate and starts it on its embedded store, in ./tpgate-data
# test   everything that must hold before a change lands: tools, lint, all tests
# faults the black-box tests with their full counts, a quarter of an hour
# fuzz   every fuzz target for FUZZTIME
# bench  what a check costs against a server that decides nothing, eight minutes; ends non-zero when a target is missed
# bench-redis  instructions of Redis per decision, by callgrind
# bench-grow   how the cost grows with keys, connections, distance and instances, with plots
# What make bench and make bench-grow measure is written to RESULTS; that of the README is in test/bench/results.
FUZZTIME ?= 30s
RESULTS ?= bench-results

.PHONY: run build test lint tools faults fuzz tools-bench bench bench-redis bench-grow

run: build
	bin/tpgate serve --log-format text

build:
	go build -o bin/tpgate ./cmd/tpgate

test: tools lint
	go test -race $$(go list ./... | grep -v '^tpgate/test$$')
	cd test && go test -race -timeout 30m # from its folder: it shows its table, and is never taken from the cache, as Go does not see that it depends on the program

lint:
	@unformatted=$$(find . -name '*.go' -not -path './test/traefik/*' -not -path './.tools/*' -exec gofmt -l {} +); \
		test -z "$$unformatted" || { echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	@older=$$(go fix -diff ./...); test -z "$$older" || { echo "$$older"; echo "go fix ./... has something to say"; exit 1; }

# What the tests need beyond Go: Redis and the proxies.
tools:
	@test/install.sh

faults: tools
	cd test && TPGATE_FULL=1 go test -timeout 60m -v

fuzz:
	@grep -rEo '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | sed 's/[^/]*_test.go:func / /' | while read -r folder target; do \
		echo "$$folder $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$folder" || exit 1; \
	done

tools-bench:
	@test/install.sh bench

bench: tools-bench
	go run ./test/bench -results $(RESULTS)

bench-redis: tools-bench
	TPGATE_BENCH_REDIS=1 go test ./store -run TestInstructions -v -count=1

bench-grow: tools-bench
	go run ./test/bench -grow -rounds 5 -results $(RESULTS)

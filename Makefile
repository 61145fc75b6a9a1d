# Each command is a short script.
help:
	@echo "make fmt    rewrite the code in the one format"
	@echo "make lint   format, vet, staticcheck, go.mod"
	@echo "make test   everything that proves something (./scripts/test.sh)"
	@echo "make audit  known vulnerabilities, and secrets in the history"
	@echo "make bench  benchmarks, with allocations"
	@echo "make release  midge for every system, into dist/"
	@echo "make fuzz   every fuzz target, FUZZTIME=10m each"

fmt lint audit test bench fuzz release:
	@./scripts/$@.sh

.PHONY: help fmt lint audit test bench fuzz release

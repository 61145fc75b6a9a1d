#!/usr/bin/env bash
# Runs the benchmarks. Machines differ: compare runs with each other, not with
# anybody's figures.
set -eu
cd "$(dirname "$0")/.."
go test -run '^$' -bench "${1:-.}" -benchmem ./...

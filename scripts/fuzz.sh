#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME (10m) each, one after the other, and
# stops at the first that fails. Crashers end up in testdata/fuzz.
set -eu
cd "$(dirname "$0")/.."
for pkg in packet link topic transport telemetry; do
	for target in $(go test "./$pkg" -list '^Fuzz' | grep '^Fuzz'); do
		echo "== $pkg $target"
		go test "./$pkg" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10m}"
	done
done

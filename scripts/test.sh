#!/usr/bin/env bash
# Runs every test: lint, the module's own with the race detector, and real
# clients against the built binary. Needs Go alone; what else the real clients
# need is installed with CI=true (as root on Debian), and skipped with a word
# where it is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${CI:-}" = true ]; then
	./scripts/deps.sh
fi
./scripts/lint.sh
go test -race ./...
# Verbose, less what went well: so that what was skipped is seen.
(cd interop && go test -count=1 -v ./... | grep -vE '^=== |^ *--- PASS')

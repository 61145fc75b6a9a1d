#!/usr/bin/env bash
# Tests the firmware: builds it with TinyGo, boots it in QEMU and talks to it.
# With CI=true the toolchain is set up first; otherwise it is used if it is
# there (scripts/tinygo.sh). What cannot run here is skipped with a word.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${CI:-}" = true ]; then
	status=0
	./scripts/tinygo.sh >/dev/null || status=$?
	case $status in
	0) ;;
	75) echo "SKIPPED: the firmware in QEMU, for want of a toolchain" ;;
	*) exit "$status" ;;
	esac
fi
# Verbose, less what went well: so that what was skipped, and the figures, are
# seen.
(cd firmware && go test -count=1 -v ./... | grep -vE '^=== |^ *--- PASS|no test files')

#!/usr/bin/env bash
# Runs every test: lint, a look for known holes and secrets, the module's own
# with the race detector, a release for one system, real clients against the
# built binary, and the firmware in QEMU. Needs Go alone; what the race detector and
# the real clients need beyond it is installed with CI=true (as root on
# Debian), and skipped with a word where it is missing otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${CI:-}" = true ]; then
	./scripts/deps.sh
fi
./scripts/lint.sh
./scripts/audit.sh
# The race detector needs a C compiler and not every processor has it: ask it
# about a package that is not ours, so that no fault of ours looks like that.
race=-race
if ! why=$(go test -race -run '^$' errors 2>&1); then
	if [ "${CI:-}" = true ]; then
		printf 'FAIL: no race detector: %s\n' "$why" >&2
		exit 1
	fi
	printf 'SKIP: no race detector (apt-get install gcc libc6-dev): %s\n' "$why"
	race=
fi
go test $race ./...
if [ -n "$race" ]; then
	go test ./tiny ./internal/arch # what is long, or counted, without the detector
fi
./scripts/release.sh linux/amd64
# Verbose, less what went well: so that what was skipped is seen.
(cd interop && go test -count=1 -v . | grep -vE '^=== |^ *--- PASS')
# The crash test's short form; the broker it kills is built without the detector.
(cd interop && go test $race -count=1 ./crash ./internal/...)
# The attacks' short form.
(cd interop && go test -count=1 ./abuse)
./scripts/firmware.sh

#!/usr/bin/env bash
# Looks for vulnerabilities that are known and can be reached from our code, and
# for secrets in the history. What cannot be had here is skipped with a word.
# GOVULNDB names another database: a URL, or file:///folder.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
get() { # get MODULE@VERSION: its command into tools
	local why
	why=$(GOBIN=$tools go install "$1" 2>&1) && return
	if [ "${CI:-}" = true ]; then
		printf 'FAIL: %s cannot be built:\n%s\n' "$1" "$why" >&2
		exit 1
	fi
	echo "SKIPPED: $1 cannot be built: $(tail -1 <<<"$why")"
	return 1
}

go mod verify
if get golang.org/x/vuln/cmd/govulncheck@v1.8.0; then
	for module in . interop firmware; do
		status=0
		said=$(cd "$module" && "$tools/govulncheck" ${GOVULNDB:+-db "$GOVULNDB"} ./... 2>&1) || status=$?
		if [ "$status" = 0 ]; then
			echo "govulncheck $module: $(tail -1 <<<"$said")"
		elif grep -q 'fetching vulnerabilities' <<<"$said"; then # says nothing of our code
			echo "SKIPPED: govulncheck, its database cannot be reached: $(tail -1 <<<"$said")"
			break
		else
			echo "$said"
			exit 1
		fi
	done
fi
if get github.com/zricethezav/gitleaks/v8@v8.30.1; then
	if [ "$(git rev-parse --is-shallow-repository)" = true ]; then
		echo "audit: the history is cut off; what there is is looked through"
	fi
	"$tools/gitleaks" git --no-banner --log-level warn --redact --verbose .
	echo "audit: no secret in $(git rev-list --count HEAD) commits"
fi

#!/usr/bin/env bash
# Says what is not in the one format, and what vet, staticcheck and go.mod say.
set -eu
cd "$(dirname "$0")/.."
unformatted=$(go tool gofumpt -l .)
if [ -n "$unformatted" ]; then
	printf 'not formatted (make fmt does it):\n%s\n' "$unformatted"
	exit 1
fi
for module in . interop firmware; do
	(cd "$module" && go vet ./... && go mod tidy -diff)
done
go tool staticcheck ./...
for module in interop firmware; do
	(cd "$module" && go tool -modfile=../go.mod staticcheck ./...)
done
echo "lint: nothing to say"

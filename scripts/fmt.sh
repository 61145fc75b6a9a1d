#!/usr/bin/env bash
# Rewrites the code in the one format.
set -eu
cd "$(dirname "$0")/.."
go tool gofumpt -w .

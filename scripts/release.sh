#!/usr/bin/env bash
# Builds midge for every system it is made for: static, reproducible, into
# dist/, with their sums. With arguments, such as linux/arm/7, those alone.
set -eu
cd "$(dirname "$0")/.."
targets=${*:-"linux/amd64 linux/arm64 linux/arm/6 linux/arm/7 linux/riscv64 linux/mips/softfloat linux/mipsle/softfloat darwin/amd64 darwin/arm64 windows/amd64"}
mkdir -p dist
for target in $targets; do
	IFS=/ read -r os arch variant <<<"$target"
	name="dist/midge-$os-$arch${variant:+-$variant}"
	[ "$os" = windows ] && name="$name.exe"
	case $arch in
	arm) export GOARM=${variant:-7} ;;
	mips*) export GOMIPS=${variant:-softfloat} ;;
	esac
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o "$name" ./cmd/midge
	printf '%-40s %5d KiB\n' "$name" $(($(wc -c <"$name") / 1024))
done
cd dist && sha256sum midge-* >SHA256SUMS

#!/usr/bin/env bash
# Builds midge for every system it is made for, into dist/: static binaries, an
# archive of each with manual, completions and unit, Debian packages where
# dpkg-deb is, a container image, and the sums of all of them. The same sources give the same bytes.
#
#   scripts/release.sh                   everything
#   scripts/release.sh linux/arm/7       that alone
#   scripts/release.sh --twice [...]     once more elsewhere, without a cache: the sums have to agree
#
# The date in archives is SOURCE_DATE_EPOCH, or that of the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."
all="linux/amd64 linux/arm64 linux/arm/6 linux/arm/7 linux/riscv64 linux/mips/softfloat linux/mipsle/softfloat darwin/amd64 darwin/arm64 windows/amd64"
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" LC_ALL=C TZ=UTC
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
ldflags='-s -w -buildid='

case ${1:-} in -h | --help)
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit
	;;
esac
if [ "${1:-}" = --twice ]; then
	shift
	elsewhere=$(mktemp -d)
	trap 'chmod -R u+w "$elsewhere"; rm -rf "$elsewhere"' EXIT
	"$0" "$@"
	mkdir "$elsewhere/tree"
	git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x -C "$elsewhere/tree"
	GOCACHE=$elsewhere/cache "$elsewhere/tree/scripts/release.sh" "$@"
	diff dist/SHA256SUMS "$elsewhere/tree/dist/SHA256SUMS"
	echo "release: twice the same"
	exit
fi

rm -rf dist
mkdir -p dist/share
go build -ldflags "$ldflags" -o dist/midge ./cmd/midge # for this machine, to write what goes along
version=$(dist/midge version | cut -d' ' -f2)
dist/midge man dist/share/man >/dev/null
mkdir dist/share/completions
dist/midge completion bash >dist/share/completions/midge.bash
dist/midge completion zsh >dist/share/completions/_midge
dist/midge completion fish >dist/share/completions/midge.fish
dist/midge config >dist/share/midge.toml

# static fails for a binary that wants a loader.
static() {
	command -v readelf >/dev/null || return 0
	if readelf -lW "$1" | grep -E 'INTERP|DYNAMIC'; then
		echo "release: $1 is not static" >&2
		return 1
	fi
}

# runs starts a binary of another system, as far as an emulator is there.
runs() { # runs BINARY OS ARCH
	local qemu=qemu-$3-static
	case $3 in
	amd64) qemu=qemu-x86_64-static ;;
	arm64) qemu=qemu-aarch64-static ;;
	mipsle) qemu=qemu-mipsel-static ;;
	esac
	if [ "$2/$3" = "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" ]; then
		qemu=
	elif [ "$2" != linux ] || ! command -v "$qemu" >/dev/null; then
		echo "not run"
		return
	fi
	$qemu "$1" version >/dev/null
	echo "runs"
}

archive() { # archive BINARY OS NAME
	local dir=dist/$3 exe=midge
	[ "$2" = windows ] && exe=midge.exe
	mkdir "$dir"
	cp "$1" "$dir/$exe"
	cp -r LICENSE README.md CHANGELOG.md SECURITY.md dist/share/* "$dir"
	[ "$2" = linux ] && cp packaging/midge.service packaging/midge.sysusers "$dir"
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -C dist -c "$3" |
		gzip -9n >"dist/$3.tar.gz"
	rm -r "$dir"
}

image=
for target in ${*:-$all}; do
	IFS=/ read -r os arch variant <<<"$target"
	name=midge-$version-$os-$arch${variant:+-$variant}
	binary=dist/${name/-$version/}
	[ "$os" = windows ] && binary+=.exe
	GOOS=$os GOARCH=$arch GOARM=${variant:-7} GOMIPS=softfloat go build -ldflags "$ldflags" -o "$binary" ./cmd/midge
	[ "$os" = linux ] && static "$binary"
	archive "$binary" "$os" "$name"
	case $target in
	linux/amd64 | linux/arm64 | linux/riscv64) debian=$arch ;;
	linux/arm/7) debian=armhf ;;
	linux/arm/6) debian=armel ;;
	*) debian= ;;
	esac
	image+=$debian
	if [ "$debian" ] && command -v dpkg-deb >/dev/null; then
		./scripts/deb.sh "$binary" "$debian" "$version" >/dev/null
	fi
	printf '%-36s %6d KiB  %s\n' "$binary" $(($(wc -c <"$binary") / 1024)) "$(runs "$binary" "$os" "$arch")"
done
rm -r dist/share dist/midge
[ -z "$image" ] || ./scripts/image.sh
cd dist && sha256sum midge* >SHA256SUMS
